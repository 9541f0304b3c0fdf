from cubehub_spawner._homes import claim, owner


def test_a_home_is_of_the_account_that_first_has_it(tmp_path):
    home = tmp_path / "nora"
    home.mkdir()
    (home / "file").write_text("hers")
    assert owner(home) is None
    assert claim(home, "id-1") is None
    assert claim(home, "id-1") is None
    assert owner(home) == "id-1"
    assert (home / "file").read_text() == "hers", "a home of before there were notes stays"


def test_who_gets_a_name_again_gets_no_files_with_it(tmp_path):
    home = tmp_path / "nora"
    claim(home, "id-1")
    home.mkdir()
    (home / "file").write_text("hers")
    (tmp_path / ".nora.examples").touch()
    (tmp_path / ".noraa.examples").touch()
    moved = claim(home, "id-2")
    assert moved == tmp_path / "nora.of-id-1"
    assert (moved / "file").read_text() == "hers"
    assert not home.exists()
    assert owner(home) == "id-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".nora.account", ".nora.of-id-1.examples", ".noraa.examples", "nora.of-id-1",
    ]  # fmt: skip


def test_what_was_moved_aside_before_is_not_covered(tmp_path):
    home = tmp_path / "nora"
    for account in ("id-1", "id-2", "id-1", "id-2"):
        claim(home, account)
        home.mkdir()
        (home / account).touch()
    assert claim(home, "id-1") == tmp_path / "nora.of-id-2.2"
    assert (tmp_path / "nora.of-id-1" / "id-1").exists()
    assert (tmp_path / "nora.of-id-1.2" / "id-1").exists()


def test_killed_between_move_and_note_it_goes_on(tmp_path):
    home = tmp_path / "nora"
    claim(home, "id-1")
    home.mkdir()
    home.rename(tmp_path / "nora.of-id-1")
    assert claim(home, "id-2") is None
    assert owner(home) == "id-2"


def test_a_link_in_place_of_a_home_is_moved_and_not_followed(tmp_path):
    home, elsewhere = tmp_path / "nora", tmp_path / "elsewhere"
    elsewhere.mkdir()
    claim(home, "id-1")
    home.symlink_to(elsewhere)
    moved = claim(home, "id-2")
    assert moved is not None
    assert moved.is_symlink()
    assert elsewhere.is_dir()
