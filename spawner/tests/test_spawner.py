"""The spawner's settings and state, without starting anything."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from cubehub_spawner import ProfileLocalSpawner, _mixin, load_profiles
from cubehub_spawner._form import profile_form
from cubehub_spawner._mixin import requested_profile
from cubehub_spawner.environment import server_environment
from jupyterhub.spawner import LocalProcessSpawner
from traitlets import TraitError


def own_traits():
    stock = LocalProcessSpawner.class_traits(config=True)
    return {
        name: trait
        for name, trait in ProfileLocalSpawner.class_traits(config=True).items()
        if name not in stock
    }


def test_every_setting_says_what_it_does_and_is_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert len(own_traits()) >= 8
    for name, trait in own_traits().items():
        assert trait.help.strip(), name
        assert f"`{name}`" in readme, name


@pytest.mark.parametrize(("name", "value"), [("isolation", "docker"), ("enforcers", ["cgroup_v3"])])
def test_a_bad_setting_is_named(name, value):
    spawner = ProfileLocalSpawner()
    with pytest.raises(TraitError, match=name):
        setattr(spawner, name, value)


@pytest.mark.parametrize(
    ("posted", "heard"),
    [
        (None, None),
        ({}, None),
        ({"profile": ""}, None),
        ({"profile": "premium"}, "premium"),
        ({"profile": ["premium"]}, "premium"),
        ({"profile": ["a", "b"]}, "['a', 'b']"),
        ({"profile": {"memory": "99G"}}, "{'memory': '99G'}"),
        ({"profile": 7}, "7"),
        ({"mem_limit": "99G", "cmd": ["sh"]}, None),
        ({"profile": "x" * 10_000}, "x" * 80),
        ({"profile": "premium\nno_profile: forged line"}, r"'premium\nno_profile: forged line'"),
        ({"profile": "\ud800"}, r"'\ud800'"),
    ],
)
def test_only_a_profiles_name_is_heard_of_what_is_posted(posted, heard):
    assert requested_profile(posted) == heard


def test_the_code_reads_nothing_else_of_user_options():
    """Whoever adds a second reader of `user_options` finds this test and the reason (DESIGN.md: Entitlement)."""
    package = Path(_mixin.__file__).parent
    readers = [
        path.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "user_options"
    ]
    assert readers == ["_mixin.py"] * 3, (
        "one reads the wish, two look for it and take it out of the next start"
    )


def test_threads_follow_the_profile_not_the_machine(tmp_path):
    env = server_environment(
        username="jovyan",
        home=Path("/home/jovyan"),
        tmp=tmp_path,
        prefix="/envs/lab",
        extra_path=["/opt/x"],
        cpu=1.5,
    )
    assert env["OMP_NUM_THREADS"] == env["DASK_NUM_WORKERS"] == "2"
    assert env["PATH"] == "/envs/lab/bin:/opt/x:/usr/local/bin:/usr/bin:/bin"


def test_state_survives_a_restart_of_the_hub():
    one = ProfileLocalSpawner()
    one.pid, one.started, one.enforcer_name, one.handle = 4242, 99, "cgroup_v1", "/sys/fs/cgroup/memory/x"
    one.granted_bytes, one.granted_profile, one.granted_title = 5 * 2**30, "standard", "Standard"
    other = ProfileLocalSpawner()
    other.load_state(one.get_state())
    assert other.get_state() == one.get_state()
    assert other.mem_limit == 5 * 2**30
    other.clear_state()
    assert other.get_state() == {}
    assert other.granted_bytes == 0, "a stopped server does not count against the others"


def test_the_form_offers_a_choice_only_to_whoever_has_one_and_escapes_what_it_shows(tmp_path):
    file = tmp_path / "profiles.yaml"
    file.write_text(
        """profiles:
  a: {title: "<b>Small</b>", groups: [/a], memory: 1G, cpu: 1, storage: 1G}
  b: {title: Large, groups: [/b], memory: 2G, cpu: 2, storage: 1G}
"""
    )
    profiles = load_profiles(file)
    assert profile_form(["/a"], profiles) == profile_form([], profiles) == ""
    form = profile_form(["/a", "/b", "/x"], profiles)
    assert form.index("Large") < form.index("&lt;b&gt;Small&lt;/b&gt;")
    assert re.findall(r'value="(.*?)"( checked)?>', form) == [("", " checked"), ("a", "")]
    assert "<b>" not in form


def test_a_form_that_cannot_be_made_leaves_the_start_to_say_why(tmp_path):
    spawner = ProfileLocalSpawner(profiles_file=str(tmp_path / "missing.yaml"))
    spawner.user = SimpleNamespace(groups=[])
    assert spawner.options_form(spawner) == ""


@pytest.mark.parametrize(
    ("posted", "kept"),
    [
        ({}, {}),
        ({"profile": [""]}, {}),
        ({"profile": ["premium"], "mem_limit": ["99G"]}, {"profile": "premium"}),
        ({"profile": ["a", "b"]}, {"profile": "['a', 'b']"}),
    ],
)
def test_of_a_form_only_the_wish_is_kept(posted, kept):
    assert ProfileLocalSpawner().options_from_form(posted) == kept
