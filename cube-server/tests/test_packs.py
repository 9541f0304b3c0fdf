"""Files of tiles that were made beforehand: what is written is read again, and what is damaged is told."""

import os
from pathlib import Path

import pytest

from xcube_cubehub.fast import png
from xcube_cubehub.fast.packs import OPEN_TABLES, PackReader, pack_path, write_pack
from xcube_cubehub.shards import DamagedError

OPEN_FILES = Path("/proc/self/fd")


@pytest.mark.parametrize("count", [0, 1, 3, 400])
def test_each_tile_is_found_and_no_other(tmp_path, count):
    tiles = {(9, n * 7 % 401, n): (png.chunk(b"IDAT", b"%d" % n), n % 256) for n in range(count)}
    path = pack_path(tmp_path, "chl", 5)
    path.parent.mkdir(parents=True)
    write_pack(path, tiles)
    reader = PackReader(tmp_path)
    for place, tile in tiles.items():
        assert reader.read("chl", 5, *place) == tile
    assert reader.read("chl", 5, 8, 0, 0) == (b"", -1)
    assert reader.read("chl", 5, 10, 0, 0) == (b"", -1)
    assert reader.read("chl", 6, 9, 0, 0) is None
    reader.close()


def test_few_files_stay_open(tmp_path):
    tile = {(1, 0, 0): (png.chunk(b"IDAT", b"x"), 0)}
    pack_path(tmp_path, "chl", 0).parent.mkdir(parents=True)
    reader = PackReader(tmp_path)
    before = len(list(OPEN_FILES.iterdir()))
    for seconds in range(OPEN_TABLES * 2):
        write_pack(pack_path(tmp_path, "chl", seconds), tile)
        assert reader.read("chl", seconds, 1, 0, 0) == tile[1, 0, 0]
    assert len(list(OPEN_FILES.iterdir())) <= before + OPEN_TABLES
    reader.close()
    assert len(list(OPEN_FILES.iterdir())) == before


@pytest.mark.parametrize("where", [4, 20, 45, -3])
def test_damage_is_told(tmp_path, where):
    path = pack_path(tmp_path, "chl", 5)
    path.parent.mkdir(parents=True)
    write_pack(path, {(1, 0, 0): (png.chunk(b"IDAT", b"some bytes"), 0)})
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)
    reader = PackReader(tmp_path)
    with pytest.raises(DamagedError):
        reader.read("chl", 5, 1, 0, 0)
    reader.close()


def test_a_file_that_was_cut_off_is_told(tmp_path):
    path = pack_path(tmp_path, "chl", 5)
    path.parent.mkdir(parents=True)
    write_pack(path, {(1, 0, 0): (png.chunk(b"IDAT", b"some bytes"), 0)})
    reader = PackReader(tmp_path)
    assert reader.read("chl", 5, 1, 0, 0) is not None
    os.truncate(path, 40)
    with pytest.raises(DamagedError):
        reader.read("chl", 5, 1, 0, 0)
    reader.close()
