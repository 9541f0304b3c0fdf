import hashlib
import io
import tarfile
from contextlib import contextmanager

import pytest
from cubehub.keycloak import fetch
from cubehub.keycloak.errors import KeycloakFetchError

HOME = f"keycloak-{fetch.VERSION}"


class Recorder:
    def __init__(self):
        self.steps = {}

    @contextmanager
    def step(self, name, total, unit="B"):
        del unit
        self.steps[name] = (total, [])
        yield self.steps[name][1].append


def make_archive(members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


GOOD = make_archive({f"{HOME}/version.txt": b"one", f"{HOME}/lib/quarkus-run.jar": b"two" * 1000})


@pytest.fixture
def maven(monkeypatch):
    """What Maven Central would send, in order; an exception is raised."""
    answers = [GOOD]
    asked = []

    def download(repository, progress):
        asked.append(repository)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        (repository / "deep").mkdir()
        path = repository / "deep" / "keycloak.tar.gz"
        path.write_bytes(answer)
        with progress.step("Keycloak", len(answer)) as report:
            report(len(answer))
        return path

    monkeypatch.setattr(fetch, "_download", download)
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(GOOD).hexdigest())
    monkeypatch.setattr(fetch.time, "sleep", lambda _seconds: None)
    download.answers = answers
    download.asked = asked
    return download


@pytest.fixture
def places(tmp_path):
    return tmp_path / "cache", tmp_path / "keycloak"


def leftovers(folder):
    return [path.name for path in folder.rglob(".keycloak-partial-*")]


def test_it_is_fetched_once_then_never_again(maven, places):
    progress = Recorder()
    home = fetch.fetch_keycloak(*places, progress)
    assert home == places[1] / HOME
    assert (home / "version.txt").read_text() == "one"
    total, seen = progress.steps["Keycloak: unpacking"]
    assert total == len(GOOD)
    assert seen == sorted(seen)
    maven.answers.clear()
    assert fetch.fetch_keycloak(*places, Recorder()) == home
    assert len(maven.asked) == 1


def test_a_lost_home_is_unpacked_again_without_network(maven, places):
    home = fetch.fetch_keycloak(*places, Recorder())
    (home / "version.txt").unlink()
    home.rename(home.with_name("lost"))
    fetch.fetch_keycloak(*places, Recorder())
    assert (home / "version.txt").read_text() == "one"
    assert len(maven.asked) == 1


def test_a_half_file_is_never_accepted(maven, places):
    places[0].mkdir()
    (places[0] / fetch._ARCHIVE).write_bytes(GOOD[: len(GOOD) // 2])
    fetch.fetch_keycloak(*places, Recorder())
    assert len(maven.asked) == 1
    assert (places[0] / fetch._ARCHIVE).read_bytes() == GOOD


@pytest.mark.usefixtures("maven")
def test_what_a_killed_run_left_is_swept(places):
    for folder in places:
        (folder / ".keycloak-partial-dead" / HOME).mkdir(parents=True)
    fetch.fetch_keycloak(*places, Recorder())
    assert leftovers(places[0]) == leftovers(places[1]) == []


@pytest.mark.usefixtures("maven")
def test_stopped_while_unpacking_nothing_is_taken_for_keycloak(places, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extract", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch_keycloak(*places, Recorder())
    assert not (places[1] / HOME).exists()
    assert fetch.fetch_keycloak(*places, Recorder()).is_dir()
    assert leftovers(places[1]) == []


def test_a_hiccup_is_overcome(maven, places):
    maven.answers[:] = [OSError("reset"), GOOD[:100], GOOD]
    assert fetch.fetch_keycloak(*places, Recorder()).is_dir()


def test_another_file_than_the_expected_is_refused(maven, places):
    maven.answers[:] = [b"not it"] * 3
    with pytest.raises(KeycloakFetchError, match="SHA-256") as caught:
        fetch.fetch_keycloak(*places, Recorder())
    assert caught.value.code == "keycloak_fetch"
    assert caught.value.hint
    assert not (places[0] / fetch._ARCHIVE).exists()
    assert leftovers(places[0]) == []


def test_no_network_is_said_as_such(maven, places):
    maven.answers[:] = [OSError("Name or service not known")] * 3
    with pytest.raises(KeycloakFetchError, match=r"Maven Central.*Name or service not known"):
        fetch.fetch_keycloak(*places, Recorder())


def test_an_archive_cannot_write_outside(maven, places, monkeypatch):
    evil = make_archive({"../evil.txt": b"x"})
    maven.answers[:] = [evil]
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(evil).hexdigest())
    with pytest.raises(KeycloakFetchError, match="could not be unpacked"):
        fetch.fetch_keycloak(*places, Recorder())
    assert not list(places[1].parent.rglob("evil.txt"))
