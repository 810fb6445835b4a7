"""What the page shows: a class for the page, its column of the chat, and each tab that has parts."""

import gradio as gr

from rag.documents.folder import MAX_BYTES, READABLE
from rag.interfaces.chat.conversation import MAX_TITLE_CHARS
from rag.interfaces.chat.panes import hint_html
from rag.interfaces.chat.session import Session
from rag.retrieval.query import MAX_QUESTION_CHARS
from rag.settings import Settings

THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    # White words on them can be read, which Gradio's own shades don't allow.
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)

EXAMPLES = {
    "002_13f831a3d5680a96.txt": "Until when did the EU extend its curbs on Syria?",
    "003_297b44c24d4f81b1.txt": "Who is the Kremlin spokesman?",
    "004_4d98d33cc253c48d.txt": "Who is scheduled to visit Moscow early next week?",
}
"""Questions to begin with, where these documents are."""

_DATE = "2016, 2016-05 or 2016-05-12"


class Page:
    """All of the page, inside the `gr.Blocks` that is open."""

    def __init__(self, settings: Settings, status: str, *, read_only: bool) -> None:
        """Lay out the page; `status` is its first status as HTML."""
        self.session = gr.State(Session())
        self.marked = gr.State(frozenset())  # the citations whose document has changed
        self.reading = gr.State(())  # the passages of an answer in progress
        self.seen = gr.State(("", -1))  # the index when the page last looked
        self.listed = gr.State(())  # the documents, which the tab searches
        # What the server and page.js give each other.
        self.record = gr.Textbox(visible="hidden", container=False)
        self.file = gr.Textbox(visible="hidden", container=False)
        self.clicks = gr.HTML(visible="hidden", js_on_load="rag.connect(trigger)")

        gr.Markdown("# Ask the documents\nEvery answer is quoted word for word.", elem_id="top")
        self.status = gr.HTML(status, elem_id="status")
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                self.chat = Chat(settings)
            with gr.Column(scale=5, min_width=320), gr.Tabs(selected="source") as self.tabs:
                with gr.Tab("Source", id="source"):
                    hint = "Click a citation: its document opens here, with the quote marked."
                    self.source = gr.HTML(hint_html(hint), elem_id="source", apply_default_css=False)
                with gr.Tab("Look inside", id="inside"):
                    hint = "“Look inside” below an answer shows how it was made."
                    self.inside = gr.HTML(hint_html(hint), apply_default_css=False)
                with gr.Tab("Documents", id="documents"):
                    self.documents = Documents(read_only)
                with gr.Tab("Conversations", id="conversations") as self.conversations_tab:
                    self.conversations = Conversations()


class Chat:
    """The conversation, and below it the question with its limits."""

    def __init__(self, settings: Settings) -> None:
        """Lay out the column; examples are shown where the documents are those that answer them."""
        self.conversation = gr.Chatbot(
            elem_id="chat",
            label="Conversation",
            show_label=False,
            height="60vh",
            latex_delimiters=[],
            buttons=[],
            feedback_options=None,
            placeholder="Ask about your documents. Nothing leaves this machine.",
        )
        with gr.Row(visible=False) as self.editing:
            self.editing_note = gr.Markdown()
            self.cancel_edit = gr.Button("Cancel", size="sm", min_width=140, scale=0)
        with gr.Row():
            self.question = gr.Textbox(
                label="Question",
                show_label=False,
                container=False,
                placeholder="Your question",
                elem_id="question",
                max_length=MAX_QUESTION_CHARS,
                scale=8,
                autofocus=True,
            )
            self.ask = gr.Button("Ask", variant="primary", scale=1, min_width=60)
            self.stop = gr.Button("Stop", scale=1, min_width=60)
        with gr.Accordion("Ask only some documents", open=False):
            self.sources = gr.Dropdown([], multiselect=True, allow_custom_value=True, label="These documents")
            with gr.Row():
                self.since = gr.Textbox(label="Dated from", placeholder=_DATE, min_width=140)
                self.until = gr.Textbox(label="Dated to", placeholder=_DATE, min_width=140)
        examples = [[EXAMPLES[source]] for source in EXAMPLES if (settings.documents / source).is_file()]
        if examples:
            examples.append(["What is the capital of Australia?"])
            gr.Examples(examples, inputs=[self.question], label="For example")


class Documents:
    """The tab of the documents."""

    def __init__(self, read_only: bool) -> None:
        """Lay out the tab; `read_only` leaves out what changes documents."""
        self.sought = gr.Textbox(label="Search by name or title", max_lines=1)
        self.table = gr.HTML(
            apply_default_css=False, js_on_load="rag.documents(element, trigger)", elem_id="documents"
        )
        if not read_only:
            files = f"Add {' '.join(READABLE)} files of at most {MAX_BYTES // 1_000_000} MB"
            gr.HTML(hint_html(f"{files}, or put them into the documents folder."))
        with gr.Row(visible=not read_only):
            self.add = gr.UploadButton(
                "Add files", file_count="multiple", file_types=list(READABLE), size="sm"
            )
            self.rebuild = gr.Button("Rebuild the index", size="sm")


class Conversations:
    """The tab of the conversations that the browser has saved."""

    def __init__(self) -> None:
        """Lay out the tab."""
        self.choice = gr.Radio([], label="Saved in this browser")
        with gr.Row():
            self.new = gr.Button("New", size="sm", min_width=80)
            self.delete = gr.Button("Delete", size="sm", min_width=80)
            self.as_markdown = gr.Button("Export Markdown", size="sm", min_width=120)
            self.as_json = gr.Button("Export JSON", size="sm", min_width=120)
        with gr.Row():
            self.title = gr.Textbox(
                placeholder="New title",
                label="New title",
                show_label=False,
                container=False,
                max_length=MAX_TITLE_CHARS,
                max_lines=1,
                scale=3,
            )
            self.rename = gr.Button("Rename", size="sm", scale=1, min_width=80)
