"""Fixtures: the issuer, the built cubes, a running server."""

import signal

import pytest

from support import SAMPLES, require, running_issuer, start


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


@pytest.fixture(scope="session")
def issuer():
    with running_issuer() as made:
        yield made


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """All cubes, built from the shipped samples."""
    from xcube_cubehub import cli

    output = tmp_path_factory.mktemp("cubes")
    assert cli.main(["build", "--source", str(SAMPLES), "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="session")
def grid_cubes(tmp_path_factory):
    """Cubes of three times on grids of all kinds, by kind; to be left as they are."""
    from grids import KINDS, write

    folder, made = tmp_path_factory.mktemp("grids"), {}
    for name, kind in KINDS.items():
        made[name] = folder / name.replace(" ", "-")
        made[name].mkdir()
        write(made[name], kind)
    return made


@pytest.fixture(scope="session")
def server(built, issuer, tmp_path_factory):
    running = start(tmp_path_factory.mktemp("server"), built, issuer.url)
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.log
