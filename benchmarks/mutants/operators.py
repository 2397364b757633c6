"""Small faults in Python source, one at a time: what a tired programmer might have written instead.

Not mutated, because nothing that a call could notice depends on it: annotations, docstrings, decorators, type aliases,
assertions of invariants, the wording of errors that only a programmer sees, and the values of an enumeration.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_TWINS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_TYPE_CALLS: Final = ("TypeVar", "cast", "assert_never")
_SYMMETRIC: Final = ("min", "max")


@dataclass(frozen=True, slots=True)
class Edit:
    """One fault: the node at `parent.field` (or its element `index`) is replaced by `new`, None to leave it out."""

    operator: str
    line: int
    before: str
    after: str
    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST | None


def edits(tree: ast.Module) -> list[Edit]:
    """All faults that can be made in a module, in the order of its source."""
    return sorted(_below(tree), key=lambda edit: edit.line)


def mutated(tree: ast.Module, edit: Edit) -> str:
    """The module's source with one fault. The tree is left as it was."""
    old: Any = getattr(edit.parent, edit.field)
    new: Any = edit.new
    if edit.index is not None:
        new = [*old[: edit.index], *([edit.new] if edit.new is not None else []), *old[edit.index + 1 :]]
    setattr(edit.parent, edit.field, new)
    try:
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    finally:
        setattr(edit.parent, edit.field, old)


def _below(parent: ast.AST) -> Iterator[Edit]:
    for field, value in ast.iter_fields(parent):
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_left_alone(parent, field, child):
                continue
            for operator, before, after, new in _faults(parent, field, child):
                yield Edit(
                    operator,
                    _line(child),
                    before,
                    after,
                    parent,
                    field,
                    index if isinstance(value, list) else None,
                    new,
                )
            yield from _below(child)


def _is_left_alone(parent: ast.AST, field: str, child: ast.AST) -> bool:
    if field in ("annotation", "returns", "decorator_list", "bases") or isinstance(child, ast.Assert):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True  # a docstring
    if isinstance(parent, ast.Module) and isinstance(child, ast.Assign) and _is_type(child.value):
        return True
    if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in _TYPE_CALLS:
        return True
    if isinstance(parent, ast.Raise):
        return True  # leaving an error out is a fault, its wording is not
    if isinstance(parent, ast.ClassDef) and isinstance(child, ast.Assign) and "Enum" in map(ast.unparse, parent.bases):
        return True  # what a member is worth means nothing
    return isinstance(child, ast.Subscript) and _is_type(child)


def _is_type(node: ast.AST) -> bool:
    """Whether an expression is a union of classes or a `Literal`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return all(_is_type(side) or isinstance(side, ast.Name | ast.Attribute) for side in (node.left, node.right))
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"


Fault = tuple[str, str, str, ast.AST | None]


def _faults(parent: ast.AST, field: str, node: ast.AST) -> Iterator[Fault]:
    for operator, new in _replacements(parent, field, node):
        yield operator, _text(node), "" if new is None else _text(new), new


def _replacements(parent: ast.AST, field: str, node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    match node:
        case ast.Compare(left, [op], right):
            for other in _COMPARISONS[type(op)]:
                yield "comparison", ast.Compare(left, [other()], right)
        case ast.Compare(left, ops, rights):
            for place, op in enumerate(ops):
                for other in _COMPARISONS[type(op)]:
                    yield "comparison", ast.Compare(left, [*ops[:place], other(), *ops[place + 1 :]], rights)
        case ast.BoolOp(op, values):
            yield "and/or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for place in range(len(values)):
                rest = [*values[:place], *values[place + 1 :]]
                yield "dropped condition", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield "dropped not", operand
        case ast.UnaryOp(ast.USub(), operand):
            yield "dropped sign", operand
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            if isinstance(op, ast.BitOr) and _is_type(node):
                yield "dropped alternative", left
                yield "dropped alternative", right
            else:
                yield "arithmetic", ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.Constant(value):
            yield from _constants(parent, value)
        case ast.Call():
            yield from _calls(node)
        case ast.Return(value) if value is not None and not _is_none(value):
            yield "return value", ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.Assign() | ast.AugAssign() | ast.Raise() if field in ("body", "orelse"):
            yield "dropped statement", ast.Pass()
        case ast.Continue():
            yield "continue/break", ast.Break()
        case ast.Break():
            yield "continue/break", ast.Continue()
        case ast.Return(None):
            yield "dropped return", ast.Pass()
        case ast.match_case(pattern, guard, body):
            yield from _cases(parent, pattern, guard, body)
        case ast.MatchClass(cls, patterns, attributes, values):
            for place, wanted in enumerate(values):
                if isinstance(wanted, ast.MatchSingleton | ast.MatchValue):
                    kept = [n for n in range(len(values)) if n != place]
                    yield (
                        "wider pattern",
                        ast.MatchClass(cls, patterns, [attributes[n] for n in kept], [values[n] for n in kept]),
                    )
        case ast.MatchOr(patterns):
            for place in range(len(patterns)):
                others = [*patterns[:place], *patterns[place + 1 :]]
                yield "dropped alternative", others[0] if len(others) == 1 else ast.MatchOr(others)
        case _:
            pass
    if isinstance(parent, ast.If | ast.IfExp | ast.While) and field == "test" and not isinstance(node, ast.UnaryOp):
        assert isinstance(node, ast.expr)
        if not (isinstance(node, ast.Compare) and len(node.ops) == 1):
            yield "negated condition", ast.UnaryOp(ast.Not(), node)


def _constants(parent: ast.AST, value: object) -> Iterator[tuple[str, ast.AST | None]]:
    match value:
        case bool():
            yield "constant", ast.Constant(not value)
        case int():
            yield "constant", ast.Constant(value + 1)
            if value > 1:
                yield "constant", ast.Constant(value - 1)
        case float():
            yield "constant", ast.Constant(value * 1.5 if value else 1.0)
            if value:
                yield "constant", ast.Constant(value / 1.5)
        case str() if not isinstance(parent, ast.JoinedStr):
            yield "constant", ast.Constant("" if value else "X")
        case _:
            pass


def _calls(node: ast.Call) -> Iterator[tuple[str, ast.AST | None]]:
    if isinstance(node.func, ast.Name) and node.func.id in _TWINS:
        yield "min/max", ast.Call(ast.Name(_TWINS[node.func.id]), node.args, node.keywords)
    if isinstance(node.func, ast.Name) and node.func.id in ("reversed", "sorted", "list") and len(node.args) == 1:
        yield "dropped call", node.args[0]
    symmetric = isinstance(node.func, ast.Name) and node.func.id in _SYMMETRIC
    for place in range(0 if symmetric else len(node.args) - 1):
        first, second = node.args[place : place + 2]
        if ast.dump(first) != ast.dump(second) and not isinstance(first, ast.Starred):
            swapped = [*node.args[:place], second, first, *node.args[place + 2 :]]
            yield "swapped arguments", ast.Call(node.func, swapped, node.keywords)
    for place in range(len(node.keywords)):
        yield (
            "dropped argument",
            ast.Call(node.func, node.args, [*node.keywords[:place], *node.keywords[place + 1 :]]),
        )


def _cases(
    parent: ast.AST, pattern: ast.pattern, guard: ast.expr | None, body: list[ast.stmt]
) -> Iterator[tuple[str, ast.AST | None]]:
    if guard is not None:
        if not isinstance(pattern, ast.MatchAs) or pattern.pattern is not None:  # Python takes `case _` only at the end
            yield "dropped guard", ast.match_case(pattern, None, body)
        yield "negated guard", ast.match_case(pattern, ast.UnaryOp(ast.Not(), guard), body)
    if isinstance(parent, ast.Match) and len(parent.cases) > 1 and not _does_nothing(body):
        yield "dropped case", None


def _does_nothing(body: list[ast.stmt]) -> bool:
    """Whether a case is there only to be complete: a bare `return`, or one that no type allows."""
    return all(
        isinstance(step, ast.Pass)
        or (isinstance(step, ast.Return) and step.value is None)
        or (isinstance(step, ast.Expr) and "assert_never" in ast.unparse(step))
        for step in body
    )


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _line(node: Any) -> int:
    """The line of a node; that of its pattern for a `case`, which has none."""
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    return int(getattr(node, "lineno", 0))


def _text(node: ast.AST) -> str:
    """A node on one line, its beginning if it is long."""
    if isinstance(node, ast.match_case):
        head = ast.unparse(ast.Match(ast.Name("x"), [ast.match_case(node.pattern, node.guard, [ast.Pass()])]))
        text = head.splitlines()[1].strip()
    else:
        text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else text[:99] + "…"
