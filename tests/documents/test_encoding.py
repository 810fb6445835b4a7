import codecs

import pytest

from rag.documents.encoding import decode
from rag.errors import UnreadableError

WESTERN = (
    "Café Zürich – naïve façade",
    "Le café était fermé. Où est-il allé, cet élève très âgé ? À la fenêtre, sûrement.",
    "L’été, les élèves de l’école visitent une forêt. Ils y trouvent des mûres et même un hérisson.",
    "Die Straße führt über den Fluß nach München. Ärger gab es nur wegen der Gebühren für größere Fahrzeuge.",
    "Zürich ist schön.",
    "Grüße aus Köln",
    "El niño comió una piña en la montaña. ¿Cuándo vendrá el señor Núñez? ¡Mañana será otro día!",
    "A informação não está disponível. As estações são três: São João, Conceição e Alcântara.",
    "La città è più bella di così. Perché non c'è nessuno? È già tardi, però andrò lì.",
    "Rødgrød med fløde er en sød ret. På øen går der får, og åen løber gennem engen.",
    "Räksmörgås är gott på sommaren. Hör du fågeln som sjunger på ängen vid ån?",
    "Blåbærsyltetøy og rømme står på bordet. Været er dårlig i år.",
    "Hyvää päivää! Äiti söi mökillä mämmiä, eikä isä pitänyt siitä yhtään.",
    "De coördinator heeft ideeën over de financiën van België.",
    "The “quoted” word—an em-dash—and the café’s naïve owner paid €5.",
    "It’s done – really.",
    "He paid £5 for the crêpe.",
    "Þetta er ágætur dagur, sagði Ólafur við bróður sinn í gær.",
    "café",
    "À Noël, l'hôtel était complet : « Désolé », répondit l'hôtesse. Où dormir ? Ça, personne ne le savait.",
    "Œuvre, cœur, sœur, nœud.",
    "»Das ist für größere Häuser«, sagte er. Übrigens: Öl, Äpfel, Süßigkeiten und Brötchen kosten 5 €.",
    "Fußgängerübergänge müssen überprüft werden.",
    "Él dijo: «Así será». Más allá, el águila voló. ¡Qué ilusión!",
    "El Ministerio de Educación anunció que la investigación continuará el próximo año en Málaga y Jaén.",
    "Não há razão para preocupações; os cidadãos já receberam informações. À noite, José foi à praça.",
    "«Sì, però non è vero», disse Niccolò. Più tardi andò all’università di Forlì.",
    "Æbler, ører og åer. Søren købte smørrebrød på Strøget, før færgen sejlede til Ærø.",
    "Åsa är från Malmö. Återvändsgränd, älg, öl. Vädret är dåligt på västkusten.",
    "Pääministeri sanoi, että hallitus päättää asiasta ensi viikolla. Työttömyys väheni.",
    "Veðrið er slæmt í Reykjavík. Það snjóaði í nótt og við fórum ekki út. Þór og Ægir.",
    "L’any passat, la col·lecció d’informació va créixer força. Això és així perquè hi havia moltes dades.",
    "Tá an ghrian ag taitneamh. Cá bhfuil Seán? Bhí sé anseo inné.",
    "Unë jam nga Tirana. Është një ditë e bukur për të ecur në qytet, çfarë mendoni?",
    "Die môre is koud. Sê vir haar dat ek môre kom, eerste in die ry. Geëet en gelê.",
    "Temperature: 20 °C ± 2. Price: £3. § 5. ½ cup. © 2020 Company®. Ship – 3 µm × 4 µm.",
    "A long English text with one accented word.\n" * 200 + "It was in São Paulo.\n" + "On it goes.\n" * 200,
)
RUSSIAN = (
    "Мир и война. Хлеб лежит на столе, а река течёт мимо дома.",
    "В начале января река замёрзла, и мост стоял пустым несколько недель. Никто не знал, когда придёт весна.",
    "Пресс-секретарь Кремля Дмитрий Песков заявил, что переговоры продолжатся в четверг.",
    "Привет, мир!",
    "Question: Что такое река? Answer: вода, которая течёт.",
    "Она сказала: «Хорошо». Потом ушла.",
    "Россия и Китай подписали соглашение о поставках газа. Срок — тридцать лет.",
    "Москва - столица. Население составляет 13 млн человек (2021).",
)
JAPANESE = (
    "一月に川が凍り、橋は何週間も閉ざされたままだった。春がいつ来るのか誰も知らなかった。",
    "これは日本語の文章です。東京は日本の首都であり、世界でも有数の大都市です。",
    "カタカナとひらがなと漢字が混ざったテキスト。",
    "吾輩は猫である。名前はまだ無い。",
    "「戦争と平和」は長い小説である。川は凍り、パンと塩だけが残った。",
    "テストです。1月に開催されるイベントのお知らせ。",
)
CHINESE = (
    "一月份河水结冰,桥空了好几个星期。没有人知道春天什么时候会来。",
    "北京是中华人民共和国的首都,也是全国的政治中心、文化中心。",
    "这是一个测试。我们正在学习中文编码。",
    "战争与和平是一部长篇小说。",
    "俄罗斯总统发言人佩斯科夫说,会谈将于星期四继续进行。",
    "他说:“你好!”然后离开了。",
    "一月份河水结冰,桥空了好几个星期。\n" * 40_000,
)
POLISH = (
    "Zażółć gęślą jaźń. Święta w Łodzi były piękne, a śnieg padał całą noc.",
    "Źródło znajduje się w górach, a rzeka płynie przez całą Polskę aż do morza.",
    "Premier powiedział, że rząd podejmie decyzję w przyszłym tygodniu. Bezrobocie spadło.",
)
CZECH = (
    "Příliš žluťoučký kůň úpěl ďábelské ódy. Řeka zamrzla v lednu.",
    "V Praze dnes sněžilo a děti šly do školy pěšky, protože tramvaje nejezdily.",
    "Předseda vlády řekl, že rozhodnutí padne příští týden. Nezaměstnanost klesla.",
)
HUNGARIAN = (
    "Árvíztűrő tükörfúrógép. A folyó januárban befagyott, és a híd hetekig üresen állt.",
    "A miniszterelnök azt mondta, hogy a kormány jövő héten dönt. A munkanélküliség csökkent.",
)
TURKISH = (
    "Nehir ocak ayında dondu ve köprü haftalarca boş kaldı. Şimdi güneş çıktı, çocuklar dışarıda.",
    "Başbakan, hükümetin gelecek hafta karar vereceğini söyledi. İşsizlik düştü.",
)
TAIWANESE = (
    "一月份河水結冰,橋空了好幾個星期。沒有人知道春天什麼時候會來。",
    "臺北是中華民國的首都,也是全國的政治中心。",
)
KOREAN = (
    "일월에 강이 얼어붙었고 다리는 몇 주 동안 비어 있었다.",
    "서울은 대한민국의 수도이며 가장 큰 도시이다.",
)
UKRAINIAN = (
    "Річка замерзла в січні, і міст стояв порожнім кілька тижнів. Ніхто не знав, коли прийде весна.",
)
GREEK = ("Ο ποταμός πάγωσε τον Ιανουάριο και η γέφυρα έμεινε άδεια για εβδομάδες.",)
HEBREW = ("הנהר קפא בינואר והגשר עמד ריק במשך שבועות.",)
ARABIC = ("تجمد النهر في يناير وظل الجسر فارغا لأسابيع.",)

SAVED = [
    (encoding, text)
    for encoding, texts in (
        ("cp1252", WESTERN),
        ("latin-1", [text for text in WESTERN if all(ord(character) < 256 for character in text)]),
        ("cp1251", RUSSIAN),
        ("koi8-r", [text.translate({ord(sign): '"' for sign in "«»"} | {ord("—"): "-"}) for text in RUSSIAN]),
        ("shift_jis", JAPANESE),
        ("gb18030", CHINESE),
        ("cp1250", POLISH + CZECH + HUNGARIAN),
        ("iso8859-2", POLISH),
        ("cp1251", UKRAINIAN),
        ("cp1253", GREEK),
        ("cp1254", TURKISH),
        ("cp1255", HEBREW),
        ("cp1256", ARABIC),
        ("euc_jp", JAPANESE),
        ("big5", TAIWANESE),
        ("cp949", KOREAN),
    )
    for text in texts
]
assert len(SAVED) == 121
TAKEN_FOR_ANOTHER = {
    ("koi8-r", RUSSIAN[4]),
    ("cp1250", POLISH[2]),
    ("cp1250", CZECH[1]),
    ("cp1250", CZECH[2]),
    ("cp1254", TURKISH[1]),
}


def shortened(value: str) -> str:
    return value[:12]


@pytest.mark.parametrize(("encoding", "text"), SAVED, ids=shortened)
def test_text_in_an_older_encoding(encoding, text):
    assert (decode(text.encode(encoding)) == text) == ((encoding, text) not in TAKEN_FOR_ANOTHER)


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (b"", "utf-8"),
    ],
)
def test_unicode(mark, encoding):
    assert decode(mark + "Frühling €\r\n🌱".encode(encoding)) == "Frühling €\r\n🌱"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["War and bread", "Мир и война, хлеб и соль"])
def test_utf_16_without_a_mark_where_it_shows(encoding, text):
    assert decode(text.encode(encoding)) == text


def test_no_bytes_are_no_text():
    assert decode(b"") == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04\x00\x00", "is binary, not text"),
        (b"War\0 and bread", "is binary, not text"),
        (codecs.BOM_UTF16_LE + "War\0".encode("utf-16-le"), "is binary, not text"),
        ("一二三。中文".encode("utf-16-le"), "is binary, not text"),
        (bytes(range(1, 256)), "is binary, not text"),
        ("été à la mer".encode()[:-1] + b"\xc3", "is not UTF-8 text (byte 14); save it as UTF-8"),
        (
            "été \ud800 à la mer, près de Zürich".encode("utf-8", "surrogatepass"),
            "is not UTF-8 text (byte 6); save it as UTF-8",
        ),
        (codecs.BOM_UTF8 + b"caf\xe9", "is not UTF-8 text (byte 3); save it as UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a\x00", "is not UTF-16 text (byte 0); save it as UTF-8"),
        (
            "Die Straße führt nach München.".encode("cp850"),
            "is in an encoding that can't be detected; save it as UTF-8",
        ),
        ("Мир и война. Хлеб".encode("cp866"), "is in an encoding that can't be detected; save it as UTF-8"),
    ],
)
def test_binary_content_and_undetected_encodings_are_refused(content, reason):
    with pytest.raises(UnreadableError) as raised:
        decode(content)
    assert str(raised.value) == reason
