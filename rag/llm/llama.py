"""Message + grammar → the model's text, piece by piece: the only module that imports llama_cpp."""

import ctypes
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import ModelError
from rag.llm.base import CONTEXT_TOKENS
from rag.models.cpu import cpu_count

_LOOKED_AT = 100
"""How many tokens are checked against the grammar when it forbids the likeliest one."""


class LlamaModel:
    """A `.gguf` file in llama.cpp, on the CPU."""

    takes_grammar = True

    def __init__(self, path: Path, name: str, *, context_tokens: int = CONTEXT_TOKENS) -> None:
        """Load the model; `ModelError` when the file is damaged, isn't a model, or can't be used here.

        Its context has `context_tokens`, or as many as it was trained for, if that is fewer.
        """
        import llama_cpp

        _leave_streams_alone()
        self.name = name
        try:
            self._llama = llama_cpp.Llama(
                str(path),
                n_ctx=context_tokens,
                n_threads=cpu_count(),
                n_threads_batch=cpu_count(),
                seed=0,
                verbose=False,
            )
        except (ValueError, RuntimeError, OSError, AssertionError) as error:
            raise ModelError(
                f"{path} can't be loaded as a language model ({error}). Name a .gguf file that "
                "llama.cpp can read, or embedded."
            ) from error
        trained_for = llama_cpp.llama_model_n_ctx_train(self._llama.model)
        self.context_tokens = min(self._llama.n_ctx(), trained_for or context_tokens)
        self.parameters = int(llama_cpp.llama_model_n_params(self._llama.model))
        self._format = self._chat_format()
        self._bytes = self._single_bytes()
        if not self._bytes.keys() >= set(b"0123456789[]"):
            raise ModelError(
                f"{path} has no tokens for single digits, which labels need. Name another model."
            )
        if self._llama.token_eos() < 0:
            raise ModelError(f"{path} has no token that ends a text. Name another model.")
        self._unwanted = self._markup_tokens()
        self._cancelled: Callable[[], bool] = lambda: False
        # llama.cpp calls this between the parts of a computation, so reading a long prompt can be stopped.
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self._cancelled())
        llama_cpp.llama_set_abort_callback(self._llama.ctx, self._abort, ctypes.c_void_p(None))

    def count_prompt(self, message: str, *, opening: str) -> int:
        """See `LanguageModel.count_prompt`."""
        return len(self._chat(message)) + len(self._tokens(opening))

    def count_tokens(self, text: str) -> int:
        """See `LanguageModel.count_tokens`."""
        return len(self._tokens(text))

    def can_write(self, text: str) -> bool:
        """See `LanguageModel.can_write`."""
        return self._bytes.keys() >= set(text.encode())

    def generate(
        self,
        message: str,
        *,
        opening: str,
        grammar: str,
        bias: Mapping[str, float],
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """See `LanguageModel.generate`; `ModelError` if the message doesn't fit the context."""
        from llama_cpp import LogitsProcessorList

        prompt = [*self._chat(message), *self._tokens(opening)]
        if len(prompt) + max_tokens > self.context_tokens:
            raise ModelError(
                f"The prompt has {len(prompt)} tokens and the answer up to {max_tokens}, but the context of "
                f"{self.name} has {self.context_tokens}. Ask a shorter question."
            )
        self._cancelled = cancelled
        wanted = {self._bytes[ord(text)]: value for text, value in bias.items()}
        choice: Any = _GrammarChoice(self._llama, grammar, self._unwanted | wanted)
        pieces: Any = self._llama.create_completion(
            prompt,
            logits_processor=LogitsProcessorList([choice]),
            max_tokens=max_tokens,
            temperature=0.0,
            stream=True,
        )
        try:
            for piece in pieces:
                if cancelled():
                    return
                yield piece["choices"][0]["text"]
            if choice.error is not None:
                raise RuntimeError(str(choice.error)) from choice.error
        except (RuntimeError, ValueError, AssertionError) as error:
            if not cancelled():
                raise ModelError(f"{self.name} stopped: {error}. Ask again.") from error
        finally:
            self._cancelled = lambda: False
            choice.close()

    def _chat(self, message: str) -> list[int]:
        """The tokens of the model's own chat format around the message.

        Only the format's own markup becomes special tokens: markup inside the message is text.
        """
        before, after, has_bos = self._format
        return [
            *self._tokens(before, special=True, add_bos=not has_bos),
            *self._tokens(message),
            *self._tokens(after, special=True),
        ]

    def _chat_format(self) -> tuple[str, str, bool]:
        """What precedes and follows a message, and whether that begins with the token that opens a text.

        A model without a chat template gets the message alone; `ModelError` when the template is broken.
        """
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        template = self._llama.metadata.get("tokenizer.chat_template")
        if template is None:
            return "", "\n\n", False
        mark = "\N{OBJECT REPLACEMENT CHARACTER}"
        try:
            chat = Jinja2ChatFormatter(
                template=template,
                bos_token=self._special(self._llama.token_bos()),
                eos_token=self._special(self._llama.token_eos()),
            )(messages=[{"role": "user", "content": mark}])
        except Exception as error:  # the template is a program, which may raise anything
            raise ModelError(
                f"The chat template of {self.name} is broken ({error}). Name another model."
            ) from error
        before, found, after = chat.prompt.partition(mark)
        if not found:
            raise ModelError(f"The chat template of {self.name} leaves out the message. Name another model.")
        return before, after, chat.added_special

    def _special(self, token: int) -> str:
        return self._llama.detokenize([token], special=True).decode() if token >= 0 else ""

    def _single_bytes(self) -> dict[int, int]:
        """The bytes that have a token of their own, with this token.

        A grammar that requires another byte may leave the model no token at all, and then llama.cpp ends
        the process. SmolLM2 lacks six control characters, and bytes that valid text doesn't have.
        """
        import llama_cpp

        vocabulary = llama_cpp.llama_model_get_vocab(self._llama.model)
        piece = ctypes.create_string_buffer(1)
        return {
            piece.raw[0]: token  # noqa: B035  each token fills the buffer
            for token in range(self._llama.n_vocab())
            if llama_cpp.llama_token_to_piece(vocabulary, token, piece, 1, 0, False) == 1
        }

    def _markup_tokens(self) -> dict[int, float]:
        """A bias that rules out the tokens of the chat format, except those that end the reply.

        To a grammar such a token is its name, so a document with `<|im_start|>` in it could make the model
        write the token, which prints as nothing, in place of the quoted characters.
        """
        import llama_cpp

        vocabulary = llama_cpp.llama_model_get_vocab(self._llama.model)
        return {
            token: -math.inf
            for token in range(self._llama.n_vocab())
            if llama_cpp.llama_vocab_is_control(vocabulary, token)
            and not llama_cpp.llama_vocab_is_eog(vocabulary, token)
        }

    def _tokens(self, text: str, *, special: bool = False, add_bos: bool = False) -> list[int]:
        return self._llama.tokenize(text.encode(), add_bos=add_bos, special=special)


class _GrammarChoice:
    """Leaves only the likeliest token that a grammar allows.

    llama.cpp would check all of the 50,000 tokens against the grammar, which takes longer than computing
    their logits. So the likeliest are checked first, and mostly the first one is allowed.
    """

    def __init__(self, llama: Any, grammar: str, bias: Mapping[int, float]) -> None:
        """Start at the root of the grammar; `bias` is added to the logits of these tokens."""
        import llama_cpp

        self._library: Any = llama_cpp
        vocabulary = llama_cpp.llama_model_get_vocab(llama.model)
        self._sampler: Any = llama_cpp.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        assert self._sampler, "the grammar is GBNF"
        self._end = llama.token_eos()
        self._bias = np.zeros(llama.n_vocab(), dtype=np.float32)
        self._bias[list(bias)] = list(bias.values())
        self.error: Exception | None = None
        """What was raised: the library would print it and go on as if all tokens were allowed."""

    def __call__(self, _: object, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits, of shape (tokens,), with all but one at minus infinity."""
        chosen = self._end
        try:
            chosen = self._chosen(logits + self._bias)
        except Exception as error:  # noqa: BLE001  whatever it is, no token may pass unchecked
            self.error = error
        left = np.full_like(logits, -np.inf)
        left[chosen] = 0.0
        return left

    def _chosen(self, biased: npt.NDArray[np.float32]) -> int:
        """The likeliest token that the grammar allows; the grammar advances past it."""
        likeliest = np.array([biased.argmax()])
        for count in (1, _LOOKED_AT, len(biased)):
            if count > 1:
                likeliest = np.argpartition(-biased, count - 1)[:count]
                likeliest = likeliest[np.argsort(-biased[likeliest], kind="stable")]
            allowed = self._allowed(likeliest)
            if allowed.any():
                break
        if not allowed.any():  # a dead end; accepting a token would end the process
            return int(self._end)
        chosen = int(likeliest[allowed.argmax()])
        self._library.llama_sampler_accept(self._sampler, chosen)
        return chosen

    def close(self) -> None:
        """Free the memory."""
        self._library.llama_sampler_free(self._sampler)

    def _allowed(self, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the tokens the grammar allows."""
        data = np.zeros(len(tokens), dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        data["id"] = tokens
        pointer = data.ctypes.data_as(ctypes.POINTER(self._library.llama_token_data))
        candidates = self._library.llama_token_data_array(pointer, len(tokens), -1, False)
        self._library.llama_sampler_apply(self._sampler, ctypes.byref(candidates))
        return np.asarray(np.isfinite(data["logit"]))


@functools.cache
def _leave_streams_alone() -> Any:
    """Keep llama_cpp from redirecting the whole process's stdout and stderr to nowhere.

    It does so while it loads a model, to hide llama.cpp's messages, and what other threads print meanwhile
    is lost. The messages are turned off instead.
    """
    import llama_cpp
    from llama_cpp import _utils

    streams: Any = _utils.suppress_stdout_stderr
    streams.__enter__ = lambda self: self
    streams.__exit__ = lambda self, *_: None
    silence = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silence, ctypes.c_void_p(None))
    return silence  # kept alive: llama.cpp calls it as long as the process lives
