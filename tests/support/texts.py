"""Texts that would be more than text where a page or a Markdown file took them for markup.

What they would run sets the title of the page, so that a browser can tell.
"""

from hypothesis import strategies as st

_RUN = "document.title='pwned'"

HOSTILE: tuple[str, ...] = (
    f"<script>{_RUN}</script>",
    f'<img src=x onerror="{_RUN}">',
    f"<svg onload={_RUN}><circle r=9></svg>",
    f'<iframe src="javascript:parent.{_RUN}"></iframe>',
    f"<form action=//127.0.0.1:1/><input name=q autofocus onfocus={_RUN}></form>",
    f"<details open ontoggle={_RUN}><summary>x</summary></details>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//127.0.0.1:1/x.css><meta http-equiv=refresh content=0>",
    "</div></p></ol></ul></article></body></html>",
    "</mark></span></a></button></td></tr></table><h1>x</h1>",
    "<!-- a comment --> <!DOCTYPE x> <?php x ?> -->",
    "<![CDATA[ <b>x</b> ]]>",
    f'" onmouseover="{_RUN}" x="',
    f"' onclick='{_RUN}' x='",
    f"javascript:{_RUN}",
    "&lt;b&gt; &amp;amp; &#60;i&#62; &#x3c; &nbsp;&copy;&copy &NotAnEntity;",
    f"[link](javascript:{_RUN}) [other][1]",
    "![image](http://127.0.0.1:1/x.png)",
    "[1]: http://127.0.0.1:1/ 'title'",
    "<http://127.0.0.1:1/> <x@example.invalid> http://127.0.0.1:1/",
    "**bold** __bold__ _italic_ *italic* ~~struck~~",
    "`code` ``` fence ``` ~~~",
    "```\n</code>\n```",
    "# heading\n## another",
    "setext\n======\nagain\n------",
    "- item\n* item\n+ item\n- [ ] task",
    "1. first\n2) second\n10. tenth",
    "> quoted\n>> twice",
    "| a | b |\n|---|---|\n| c | d |",
    "---\n***\n___",
    "    indented\n\n\tcode",
    "$$\\frac{a}{b}$$ $x$ \\(y\\) \\[z\\]",
    "{{x}} {% raw %} {#x#} ${x} #{x} <%= x %> {x!r} %s `${x}`",
    "\\ \\\\ \\< \\* and at the end \\",
    "nothing \0 here",
    "bell \x07 colour \x1b[31m next line \x85 control \x9b",
    "\u202eturned\u202c \u2066isolated\u2069 zero\u200bwidth\ufeff",
    "“quoted” [1] “again” [2]\n“” [0]",
    "#cite-0-0 cite-9-9 id=quote class=tip",
    "Donaudampfschifffahrt" * 100,
    "<" * 300,
    "日本語の文書には空白がない。" * 30,
)

PIECES = st.sampled_from(
    [
        "The war ended. ",
        "Dr. No said: “Peace!” ",
        "bread; salt, river ",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\n \n",
        "\t",
        "   ",
        "\u00a0",
        "\u2028",
        "👩‍👩‍👧 ",
        "🌊🌊",
        "和平。战争！",
        "川が流れる、",
        "x" * 900,
        "long-word" * 30,
        "e\u0301",
        "a",
    ]
)
