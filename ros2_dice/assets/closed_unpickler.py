# SPDX-License-Identifier: Apache-2.0
"""
The one place where pickles are read: a small machine that can only build data.

A pickle is a program; Python's own reader runs whatever it names. This one knows the opcodes that
make plain values and looks every name up in a closed list, whose entries are inert stand-ins of
ours. Nothing is imported, no attribute is looked up, no function of the file's choice is called;
an opcode or a name outside the list ends the reading with what it was. Work and memory grow at
most linearly with the bytes that are there: lengths are checked before anything is taken.
"""
from __future__ import annotations

import codecs
import pickletools
import struct
from collections.abc import Callable
from typing import Any, NoReturn

from ros2_dice.assets.closed_list import ClosedList, Items, Name, StandIn
from ros2_dice.errors import AssetError

DAMAGED_STEP = 'get the file again from where it came'
REFUSED_STEP = 'this file is not what it claims to be; get it from a source you trust'

MAX_OPCODES = 2_000_000
"""Eight times those of the released checkpoint; bounds time and memory."""
_MAX_MARKS = 256
_MAX_DIGITS = 24
_MAX_LONG_BYTES = 16
_PROTOCOLS = range(5)
_SMALL = 64  # Arguments up to this length may be copied at will.
_KEYS = (str, int, bytes, bool, type(None))
"""What may be a key. Hashing these never recurses; a deep tuple would overrun the C stack."""
_MAX_INDEX = 1 << 32
"""Of integer keys and memo entries: large ones could be chosen to collide in a hash table."""


def read_pickle(data: bytes, allowed: ClosedList, label: str, *,
                persistent: Callable[[Any], Any] | None = None) -> Any:
    """
    Return the value of a pickle (protocols 0 to 4), built from plain data and stand-ins.

    The result may share parts and may hold circles, as pickles may: whoever walks it must bound
    his steps, and must not print it. Byte strings of Python 2 become text in Latin-1.

    Args:
        data: the whole pickle.
        allowed: the names that may occur.
        label: name of the file, for errors.
        persistent: gives the object of a persistent id; None = there must be none.

    Raises:
        AssetError: a name or opcode is not allowed, or the pickle is damaged or too large.
    """
    value, end = read_pickle_at(data, 0, allowed, label, persistent=persistent)
    if end != len(data):
        raise AssetError(f'{label} has {len(data) - end} bytes after the end of its pickle',
                         expected='nothing', next_step=DAMAGED_STEP)
    return value


def read_pickle_at(data: bytes, start: int, allowed: ClosedList, label: str, *,
                   persistent: Callable[[Any], Any] | None = None) -> tuple[Any, int]:
    """Return the value of a pickle inside of `data`, and where it ends; else as `read_pickle`."""
    machine = _Machine(data, start, allowed, label, persistent)
    try:
        return machine.run()
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, AttributeError,
            struct.error, RecursionError, MemoryError) as error:
        reason = f'{type(error).__name__}: {error}'[:200]
        raise AssetError(f"{label} can't be read: its pickle is damaged at byte {machine.at} "
                         f'({reason})', next_step=DAMAGED_STEP) from error


class _Machine:
    """Stack, memo and position in one pickle."""

    def __init__(self, data: bytes, start: int, allowed: ClosedList, label: str,
                 persistent: Callable[[Any], Any] | None) -> None:
        self.at = start
        self._data = data
        self._allowed = allowed
        self._label = label
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def run(self) -> tuple[Any, int]:
        data, codes = self._data, _OPCODES
        for _ in range(MAX_OPCODES):
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                value = self._pop()
                if self._stack:
                    raise ValueError('values are left over')
                return value, self.at
            action = codes.get(code)
            if action is None:
                self._refuse_opcode(code)
            action(self)
        raise AssetError(f'{self._label} is refused: more than {MAX_OPCODES} pickle opcodes',
                         next_step=REFUSED_STEP)

    # --- refusals

    def _refuse(self, what: str, expected: str) -> NoReturn:
        raise AssetError(f'{self._label} is refused: {what}', expected=expected,
                         next_step=REFUSED_STEP)

    def _refuse_opcode(self, code: int) -> NoReturn:
        names = {ord(info.code): info.name for info in pickletools.opcodes}
        self._refuse(f'pickle opcode {names.get(code, hex(code))}',
                     'only opcodes that make plain data')

    # --- reading

    def take(self, count: int) -> bytes:
        end = self.at + count
        if not self.at <= end <= len(self._data):
            raise ValueError(f'{count} bytes are named, {len(self._data) - self.at} are left')
        part = self._data[self.at:end]
        self.at = end
        return part

    def number(self, layout: str) -> int:
        return struct.unpack('<' + layout, self.take(struct.calcsize('<' + layout)))[0]

    def line(self) -> bytes:
        end = self._data.index(b'\n', self.at)
        part = self._data[self.at:end]
        self.at = end + 1
        return part

    # --- stack and memo

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise ValueError('the stack is empty')
        return self._stack.pop()

    def _top(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise ValueError('the stack is empty')
        return self._stack[-1]

    def mark(self) -> None:
        if len(self._marks) >= _MAX_MARKS:
            self._refuse(f'values nested more than {_MAX_MARKS} deep', 'a flat file')
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        if not self._marks:
            raise ValueError('no mark')
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def pop(self) -> None:
        if self._marks and len(self._stack) == self._marks[-1]:
            self._marks.pop()
        else:
            self._pop()

    def pop_mark(self) -> None:
        self._since_mark()

    def duplicate(self) -> None:
        self.push(self._top())

    def put(self, index: int) -> None:
        if not 0 <= index < _MAX_INDEX:
            raise ValueError(f'memo index {index}')
        self._memo[index] = self._top()

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def memoize(self) -> None:
        self.put(len(self._memo))

    # --- containers

    def tuple_of(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def tuple_since_mark(self) -> None:
        self.push(tuple(self._since_mark()))

    def list_since_mark(self) -> None:
        self.push(self._since_mark())

    def dict_since_mark(self) -> None:
        values = self._since_mark()
        self.push({})
        self._set_items(values)

    def append(self) -> None:
        self._extend([self._pop()])

    def appends(self) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            self._refuse(f'APPEND to {type(target).__name__}', 'a list')
        target.extend(values)

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def set_items(self) -> None:
        self._set_items(self._since_mark())

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not dict and not isinstance(target, Items):
            self._refuse(f'SETITEM on {type(target).__name__}', 'a mapping')
        if len(values) % 2:
            raise ValueError('a key without a value')
        for key, value in zip(values[::2], values[1::2]):
            self._check_key(key)
            target[key] = value

    def add_items(self) -> None:
        values = self._since_mark()
        target = self._top()
        if type(target) is not set:
            self._refuse(f'ADDITEMS to {type(target).__name__}', 'a set')
        for value in values:
            self._check_key(value)
            target.add(value)

    def _check_key(self, key: Any) -> None:
        if type(key) not in _KEYS or (type(key) is int and abs(key) >= _MAX_INDEX):
            self._refuse(f'a key of type {type(key).__name__}', 'text or a small number')

    # --- names and what is made of them

    def global_(self) -> None:
        module, name = self.line().decode('utf-8'), self.line().decode('utf-8')
        self._name(module, name)

    def stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            self._refuse('STACK_GLOBAL without a name', 'text')
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        rule = self._allowed.get((module, name))
        if rule is None:
            shown = ascii(f'{module}.{name}'[:120])[1:-1]
            self._refuse(f'it names {shown}', 'only names on the closed list of such files')
        self.push(Name(module, name, rule))

    def reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        call = function.rule.call if isinstance(function, Name) else None
        if call is None:
            self._refuse(f'REDUCE of {self._shown(function)}', 'a name that may be called')
        if type(arguments) is not tuple:
            self._refuse(f'REDUCE of {self._shown(function)} without a tuple', 'a tuple')
        self._count(arguments)
        try:
            self.push(call(*arguments))
        except (TypeError, ValueError) as error:
            raise ValueError(f'{self._shown(function)}: {error}') from error

    def new_object(self) -> None:
        arguments, kind = self._pop(), self._pop()
        make = kind.rule.make if isinstance(kind, Name) else None
        if make is None:
            self._refuse(f'NEWOBJ of {self._shown(kind)}', 'a class on the closed list')
        if type(arguments) is not tuple or arguments:
            self._refuse(f'NEWOBJ of {self._shown(kind)} with arguments', 'none')
        self.push(make(kind))

    def build(self) -> None:
        state = self._pop()
        target = self._top()
        if not isinstance(target, StandIn):
            self._refuse(f'BUILD of {self._shown(target)}', 'an object on the closed list')
        if target.filled:
            self._refuse(f'BUILD of one {type(target).__name__} twice', 'once')
        target.filled = True
        self._count(state if type(state) is tuple else ())
        target.fill(state)

    def _count(self, values: tuple[Any, ...]) -> None:
        """Refuse one part copied again and again: a small file could fill the memory."""
        self._copied += sum(len(part) for part in values if isinstance(
            part, (str, bytes, list, tuple, dict, set)) and len(part) > _SMALL)
        if self._copied > 4 * len(self._data):
            self._refuse('it copies its parts again and again', 'each of them once')

    def persistent_id(self) -> None:
        if self._persistent is None:
            self._refuse_opcode(ord('Q'))
        self.push(self._persistent(self._pop()))

    @staticmethod
    def _shown(value: Any) -> str:
        return str(value) if isinstance(value, Name) else type(value).__name__

    # --- numbers and text

    def protocol(self) -> None:
        number = self.take(1)[0]
        if number not in _PROTOCOLS:
            self._refuse(f'pickle protocol {number}', f'at most {_PROTOCOLS[-1]}')

    def text_int(self) -> None:
        text = self.line()
        self.push({b'00': False, b'01': True}[text] if text in (b'00', b'01')
                  else self._decimal(text))

    def text_long(self) -> None:
        self.push(self._decimal(self.line().removesuffix(b'L')))

    @staticmethod
    def _decimal(text: bytes) -> int:
        if len(text) > _MAX_DIGITS:
            raise ValueError(f'a number of {len(text)} digits')
        return int(text)

    def binary_long(self, size: int) -> None:
        if not 0 <= size <= _MAX_LONG_BYTES:
            raise ValueError(f'a number of {size} bytes')
        self.push(int.from_bytes(self.take(size), 'little', signed=True))

    def text_string(self) -> None:
        text = self.line().strip()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in b'\'"':
            raise ValueError('text without quotes')
        self.push(codecs.escape_decode(text[1:-1])[0].decode('latin1'))


_Action = Callable[[_Machine], None]
_STOP = ord('.')


def _constant(value: Any) -> _Action:
    return lambda machine: machine.push(value)


def _number(layout: str) -> _Action:
    return lambda machine: machine.push(machine.number(layout))


def _text(layout: str, encoding: str) -> _Action:
    return lambda machine: machine.push(machine.take(machine.number(layout)).decode(encoding))


def _bytes(layout: str) -> _Action:
    return lambda machine: machine.push(machine.take(machine.number(layout)))


_OPCODES: dict[int, _Action] = {ord(code): action for code, action in {
    '\x80': _Machine.protocol, '\x95': lambda machine: machine.number('Q') and None,
    '(': _Machine.mark, '0': _Machine.pop, '1': _Machine.pop_mark, '2': _Machine.duplicate,
    'N': _constant(None), '\x88': _constant(True), '\x89': _constant(False),
    'I': _Machine.text_int, 'L': _Machine.text_long,
    'F': lambda machine: machine.push(float(machine.line())),
    'J': _number('i'), 'K': _number('B'), 'M': _number('H'),
    'G': lambda machine: machine.push(struct.unpack('>d', machine.take(8))[0]),
    '\x8a': lambda machine: machine.binary_long(machine.number('B')),
    '\x8b': lambda machine: machine.binary_long(machine.number('i')),
    'S': _Machine.text_string, 'T': _text('i', 'latin1'), 'U': _text('B', 'latin1'),
    'V': lambda machine: machine.push(machine.line().decode('raw-unicode-escape')),
    'X': _text('I', 'utf-8'), '\x8c': _text('B', 'utf-8'), '\x8d': _text('Q', 'utf-8'),
    'B': _bytes('I'), 'C': _bytes('B'), '\x8e': _bytes('Q'),
    ')': lambda machine: machine.push(()), 't': _Machine.tuple_since_mark,
    '\x85': lambda machine: machine.tuple_of(1), '\x86': lambda machine: machine.tuple_of(2),
    '\x87': lambda machine: machine.tuple_of(3),
    ']': lambda machine: machine.push([]), 'l': _Machine.list_since_mark,
    'a': _Machine.append, 'e': _Machine.appends,
    '}': lambda machine: machine.push({}), 'd': _Machine.dict_since_mark,
    's': _Machine.set_item, 'u': _Machine.set_items,
    '\x8f': lambda machine: machine.push(set()), '\x90': _Machine.add_items,
    'p': lambda machine: machine.put(_Machine._decimal(machine.line())),
    'q': lambda machine: machine.put(machine.number('B')),
    'r': lambda machine: machine.put(machine.number('I')),
    'g': lambda machine: machine.get(_Machine._decimal(machine.line())),
    'h': lambda machine: machine.get(machine.number('B')),
    'j': lambda machine: machine.get(machine.number('I')), '\x94': _Machine.memoize,
    'c': _Machine.global_, '\x93': _Machine.stack_global, 'R': _Machine.reduce,
    '\x81': _Machine.new_object, 'b': _Machine.build, 'Q': _Machine.persistent_id,
}.items()}
"""Everything else is refused: INST, OBJ, NEWOBJ_EX, the extension registry, buffers, PERSID."""
