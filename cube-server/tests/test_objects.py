"""Files of cubes as they are given out: also while the cube is exchanged, and never through a link."""

import threading

from xcube_cubehub.exchange import put_in_place
from xcube_cubehub.fast.objects import NOTHING, read_part


def test_a_file_is_there_while_its_cube_is_exchanged(tmp_path):
    place, ended, got = tmp_path / "lake", threading.Event(), []

    def build(number):
        new = tmp_path / ".building-lake"
        (new / "deep").mkdir(parents=True)
        (new / "deep" / "a").write_text(str(number))
        put_in_place(new, place)

    def look():
        while not ended.is_set():
            got.append(read_part(place, "deep/a", None))

    build(0)
    reader = threading.Thread(target=look)
    reader.start()
    for number in range(300):
        build(number)
    ended.set()
    reader.join()
    assert {part.status for part in got if part is not None} == {200}


def test_links_are_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_text("secret")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "lake" / "file").symlink_to(tmp_path / "outside" / "a")
    assert read_part(tmp_path / "lake", "folder/a", None) is NOTHING
    assert read_part(tmp_path / "lake", "file", None) is NOTHING
