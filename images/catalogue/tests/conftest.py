import pytest
from support import Service, require, servers_in, wait_for


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


@pytest.fixture
def room(tmp_path):
    """Make services in folders of their own and end them whatever happens."""
    made = []

    def make(**settings):
        folder = tmp_path / str(len(made))
        folder.mkdir(mode=0o700)
        made.append(Service(folder, **settings))
        return made[-1]

    yield make
    for service in made:
        service.stop()
        assert wait_for(lambda s=service: not servers_in(s.state), "PostgreSQL to end", 15)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("database")
    service = Service(folder).start()
    yield service
    assert service.stop() == 0
    assert not servers_in(service.state)
