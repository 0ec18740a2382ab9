"""The 60 programming and 12 natural languages: ids, names, aliases and file extensions."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["programming", "natural"]


@dataclass(frozen=True, slots=True)
class Language:
    """A language as mixes name it (``id``) and as people do (``name``)."""

    id: str
    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    fence: str = ""  # info string of a Markdown code block


def _code(id: str, name: str, extensions: str, aliases: str = "", fence: str = "") -> Language:
    names = tuple(a for a in aliases.split("|") if a)
    return Language(id, name, "programming", names, tuple(extensions.split()), fence or id)


# In the order of the set that the project grew from. Where two languages share an extension, the first one here owns it (but see `_by_extension`).
PROGRAMMING: tuple[Language, ...] = (
    _code("zephir", "Zephir", ".zep", "zephyr"),
    _code("prolog", "Prolog", ".pl .pro .prolog"),
    _code("cobol", "COBOL", ".cbl .cob .cobol .cpy"),
    _code("apex", "Apex", ".cls .trigger .apex", "salesforce apex"),
    _code("crystal", "Crystal", ".cr"),
    _code("fortran", "Fortran", ".f90 .f95 .f03 .f08 .f .for"),
    _code("nim", "Nim", ".nim .nims", "nimrod"),
    _code("delphi", "Delphi", ".pas .dpr .dpk", "pascal|object pascal|delphi-pascal"),
    _code("ada", "Ada", ".adb .ads"),
    _code("objective-c", "Objective-C", ".m .mm", "objc|objective c"),
    _code("vba", "VBA", ".bas .cls .frm", "visual basic for applications"),
    _code("perl", "Perl", ".pl .pm .t"),
    _code("groovy", "Groovy", ".groovy .gradle"),
    _code("matlab", "MATLAB", ".m", "octave"),
    _code("solidity", "Solidity", ".sol"),
    _code("visual-basic", "Visual Basic", ".vb", "vb.net|visual basic .net", "vbnet"),
    _code("ocaml", "OCaml", ".ml .mli"),
    _code("erlang", "Erlang", ".erl .hrl"),
    _code("julia", "Julia", ".jl"),
    _code("common-lisp", "Common Lisp", ".lisp .lsp .cl", "lisp", "lisp"),
    _code("fsharp", "F#", ".fs .fsx .fsi", "f#|f-sharp"),
    _code("clojure", "Clojure", ".clj .cljs .cljc"),
    _code("gdscript", "GDScript", ".gd"),
    _code("scala", "Scala", ".scala .sc"),
    _code("r", "R", ".r .R"),
    _code("haskell", "Haskell", ".hs"),
    _code("ruby", "Ruby", ".rb"),
    _code("elixir", "Elixir", ".ex .exs"),
    _code("lua", "Lua", ".lua"),
    _code("zig", "Zig", ".zig"),
    _code("dart", "Dart", ".dart"),
    _code("swift", "Swift", ".swift"),
    _code("metal", "Metal", ".metal", "metal shading language"),
    _code("powershell", "PowerShell", ".ps1 .psm1 .psd1", "pwsh"),
    _code("php", "PHP", ".php"),
    _code("kotlin", "Kotlin", ".kt .kts"),
    _code("c", "C", ".c .h"),
    _code("java", "Java", ".java"),
    _code("cpp", "C++", ".cpp .cc .cxx .hpp .hh .hxx", "c++"),
    _code("csharp", "C#", ".cs", "c#|c-sharp"),
    _code("bash", "Bash/Shell", ".sh .bash", "shell|bash-shell|sh"),
    _code("go", "Go", ".go", "golang"),
    _code("rust", "Rust", ".rs"),
    _code("typescript", "TypeScript", ".ts .tsx"),
    _code("html-css", "HTML/CSS", ".html .htm .css", "html|css", "html"),
    _code("sql", "SQL", ".sql"),
    _code("javascript", "JavaScript", ".js .mjs .cjs .jsx"),
    _code("python", "Python", ".py .pyi"),
    _code("lean", "Lean", ".lean", "lean 4|lean4"),
    _code("coq", "Coq", ".v", "rocq"),
    _code("pony", "Pony", ".pony"),
    _code("d", "D", ".d .di", "dlang"),
    _code("racket", "Racket", ".rkt"),
    _code("haxe", "Haxe", ".hx"),
    _code("x86-64-asm", "x86-64 ASM", ".asm .nasm .s .S", "x86-64|x86_64 assembly|x86-64 assembly", "asm"),
    _code("arm64-asm", "ARM-64 ASM", ".s .S", "arm-64-asm|aarch64|arm64 assembly", "asm"),
    _code("llvm-ir", "LLVM IR", ".ll", "llvm", "llvm"),
    _code("glsl", "GLSL", ".glsl .vert .frag .comp .geom .tesc .tese"),
    _code("cuda", "CUDA", ".cu .cuh"),
    _code("vulkan", "Vulkan", ".cpp .c", "vulkan api", "cpp"),
)

NATURAL: tuple[Language, ...] = tuple(
    Language(code, name, "natural", aliases)
    for code, name, aliases in (
        ("ar", "Arabic", ("standard arabic",)),
        ("zh", "Chinese", ("simplified chinese", "zh-cn", "zh-tw")),
        ("fr", "French", ()),
        ("de", "German", ()),
        ("he", "Hebrew", ("iw",)),
        ("hi", "Hindi", ()),
        ("ja", "Japanese", ()),
        ("ko", "Korean", ()),
        ("pt", "Portuguese", ()),
        ("ru", "Russian", ()),
        ("es", "Spanish", ()),
        ("tr", "Turkish", ()),
    )
)

ALL: tuple[Language, ...] = PROGRAMMING + NATURAL


@cache
def _by_name() -> dict[str, Language]:
    ids = {language.id: language for language in ALL}
    names = {n.lower(): language for language in ALL for n in (language.name, *language.aliases)}
    return names | ids


@cache
def _by_extension() -> dict[str, Language]:
    table: dict[str, Language] = {}
    for language in PROGRAMMING:
        for extension in language.extensions:
            table.setdefault(extension, language)
    return table | {".pl": get("perl")}  # in a tree of unknown files Perl is right more often than Prolog


def get(id: str) -> Language:
    """The language with this id. Raises KeyError."""
    return {language.id: language for language in ALL}[id]


def find(name: str) -> Language | None:
    """The language with this id, name or alias, in any case."""
    return _by_name().get(name.strip().lower())


def nearest(name: str) -> str | None:
    """The id of the language whose name looks most like ``name``."""
    close = difflib.get_close_matches(name.lower(), list(_by_name()), n=1)
    return _by_name()[close[0]].id if close else None


def of_file(name: str) -> Language | None:
    """The programming language that a file's extension says, or None."""
    dot = name.rfind(".")
    return _by_extension().get(name[dot:]) or _by_extension().get(name[dot:].lower()) if dot >= 0 else None


def of_kind(kind: Kind) -> Sequence[Language]:
    """All languages of a kind, in their order."""
    return PROGRAMMING if kind == "programming" else NATURAL


def ids(languages: Iterable[Language]) -> list[str]:
    """Their ids."""
    return [language.id for language in languages]


@cache
def _naming() -> re.Pattern[str]:
    names = sorted((n for language in ALL for n in (language.name, *language.name.split("/"))), key=len, reverse=True)
    return re.compile(r"(?<![\w+#])(" + "|".join(map(re.escape, names)) + r")(?![\w+#])")


def named_in(text: str) -> list[Language]:
    """The languages that a text names, spelled as people do ("Reply in Hebrew"), each once, in the order of the text."""
    found = (_by_name().get(m[1].lower()) for m in _naming().finditer(text))
    return list(dict.fromkeys(language for language in found if language))
