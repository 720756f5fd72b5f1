# SPDX-License-Identifier: Apache-2.0
"""Pickles and archives that a careless reader would obey."""
from __future__ import annotations

import builtins
import os
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

DONE = 'done.txt'
"""What a pickle that was obeyed leaves in the working folder."""


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._parts


def called(function: Callable[..., Any], *arguments: Any, protocol: int = 2) -> bytes:
    """Return a pickle that calls a function."""
    return pickle.dumps(Call(function, *arguments), protocol)


def words(text: str) -> bytes:
    """Return a protocol 0 text as an opcode pushes it."""
    return b'X' + struct.pack('<I', len(text)) + text.encode()


SHELL = f'touch {DONE}'
CODE = f'open("{DONE}", "w")'
_SYSTEM = b'cos\nsystem\n'

PICKLES: dict[str, bytes] = {
    'os.system': called(os.system, SHELL),
    'os.system, protocol 0': b'cos\nsystem\n(S\'' + SHELL.encode() + b"'\ntR.",
    'os.system, protocol 4': called(os.system, SHELL, protocol=4),
    'posix.system': b'cposix\nsystem\n(' + words(SHELL) + b'tR.',
    'builtins.eval': called(builtins.eval, CODE),
    'builtins.exec': called(builtins.exec, CODE),
    'builtins.__import__': called(builtins.__import__, 'antigravity'),
    'builtins.getattr': called(getattr, 1, 'real'),
    'a chain of getattr': pickle.dumps(Call(getattr, Call(__import__, 'os'), 'system'), 2),
    'subprocess': called(subprocess.call, ['touch', DONE]),
    'a nested reduce': pickle.dumps([{'a': (Call(eval, CODE),)}], 2),
    'a reduce as the argument of an allowed one':
        b'ccollections\nOrderedDict\n(' + _SYSTEM + b'(' + words(SHELL) + b'tRtR.',
    'a dotted name by STACK_GLOBAL': b'\x80\x04\x8c\x05torch\x8c\x13serialization.os.ab\x93.',
    'a name from the memo':
        words('os') + b'q\0' + words('system') + b'q\1' + b'00' + b'h\0h\1\x93.',
    'a module path that begins like an allowed one': b'ctorch.hub\nload\n(' + words('x') + b'tR.',
    'an allowed class called with arguments':
        b'ctorch.nn.modules.linear\nLinear\n' + words('x') + b'\x85\x81.',
    'an allowed class by REDUCE': b'ctorch.nn.modules.linear\nLinear\n)R.',
    'an allowed value called': b'cmetro.modeling.bert.modeling_bert\ngelu\n)R.',
    'INST': b'(' + words(SHELL) + b'ios\nsystem\n.',
    'OBJ': b'(' + _SYSTEM + words(SHELL) + b'o.',
    'NEWOBJ_EX': b'\x80\x04ccollections\nOrderedDict\n)}\x92.',
    'the extension registry': b'\x80\x02\x82\x01.',
    'the extension registry, 4 bytes': b'\x80\x02\x84\x01\0\0\0.',
    'a persistent id as text': b'Pos.system\n.',
    'a persistent id that is no storage': words('os.system') + b'Q.',
    'BUILD of a list': b']}b.',
    'BUILD of a function': b'cmetro.modeling.bert.modeling_bert\ngelu\n}b.',
    'BUILD twice': b'ctorch.nn.modules.linear\nLinear\n)\x81}b}b.',
    'APPEND to an object': b'ctorch.nn.modules.linear\nLinear\n)\x81' + words('x') + b'a.',
    'SETITEM on an object':
        b'ctorch.nn.modules.linear\nLinear\n)\x81' + words('x') + words('y') + b's.',
    'a deep key': b'}' + b')' + b'\x85' * 200_000 + b'Ns.',
    'a colliding key': b'}' + b'\x8a\x09' + (2**61 - 1).to_bytes(9, 'little') + b'Ns.',
    'a set of tuples': b'c__builtin__\nset\n]NN\x86a\x85R.',
    'text of 2^63 bytes': b'\x80\x04\x8d' + struct.pack('<Q', 1 << 63) + b'x.',
    'bytes of 4 GB': b'B' + struct.pack('<I', 0xFFFFFFFF) + b'x.',
    'text of negative length': b'T' + struct.pack('<i', -5) + b'x.',
    'a number of 2 GB': b'\x8b' + struct.pack('<i', 0x7FFFFFFF) + b'.',
    'a number of a million digits': b'I' + b'9' * 1_000_000 + b'\n.',
    'a memo entry that is not there': b'h\x07.',
    'marks in marks': b'(' * 100_000 + b'.',
    'too many opcodes': b'N0' * 1_100_000 + b'N.',
    'an empty stack': b'.',
    'a pop below the mark': b'N(0' + b'\x85.',
    'no end': b'N',
    'nothing': b'',
    'protocol 5': pickle.dumps([1], 5),
    'a buffer out of band': b'\x80\x05\x97.',
    'values after the end': b'}.' + called(os.system, SHELL),
    'lists in lists by the memo': b']q\0' + b''.join(
        b'](h' + bytes([i]) + b'h' + bytes([i]) + b'eq' + bytes([i + 1])
        for i in range(60)) + b'.',
    'a list in itself': b']q\0h\0a.',
    'deep tuples': b')' + b'\x85' * 500_000 + b'.',
    'a number instead of an object': b'K\x01.',
}
"""Each is to be refused as a whole-module file, and nothing is to happen."""


def write_torch_zip(path: Path, data: bytes, members: dict[str, bytes] | None = None,
                    root: str = 'model') -> Path:
    """Write an archive as torch.save does, with a pickle of the test's own."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        archive.writestr(f'{root}/data.pkl', data)
        for name, content in (members or {}).items():
            archive.writestr(f'{root}/{name}', content)
        archive.writestr(f'{root}/version', b'3\n')
    return path
