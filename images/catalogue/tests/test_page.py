import urllib.request

import pytest
from cubehub_stac.page import wants_page, write_page
from cubehub_stac.postgres import find_installation
from support import PREFIX, Service, get

ROOT = f"{PREFIX}/"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("method", "path", "accept", "wanted"),
    [
        ("GET", ROOT, BROWSER, True),
        ("HEAD", ROOT, BROWSER, True),
        ("GET", PREFIX, BROWSER, True),
        ("GET", ROOT, "*/*", False),
        ("GET", ROOT, "", False),
        ("GET", ROOT, "application/json", False),
        ("POST", ROOT, BROWSER, False),
        ("GET", f"{ROOT}collections", BROWSER, False),
    ],
)
def test_only_a_browser_at_the_root_gets_the_page(method, path, accept, wanted):
    assert wants_page(method, path, accept, ROOT) is wanted


def test_hostile_names_stay_text():
    hostile = "\"><script>alert(1)</script>'"
    landing = {"title": hostile, "description": hostile, "conformsTo": [hostile]}
    page = write_page(
        landing, [{"id": hostile, "title": hostile, "extent": hostile}, {}], "http://127.0.0.1:1/c/"
    )
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert 'href="http://127.0.0.1:1/c/collections/%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%27"' in page


@pytest.mark.slow
@pytest.mark.parametrize("static_only", [True, False], ids=["static", "pgstac"])
def test_a_browser_reads_what_programs_get(tmp_path, static_only):
    if not static_only and find_installation() is None:
        pytest.skip("PostgreSQL with PostGIS is not installed")
    tmp_path.chmod(0o700)
    service = Service(tmp_path, static_only=static_only).start()
    try:
        status, collections = get(f"{service.root}collections")
        assert status == 200
        request = urllib.request.Request(service.root, headers={"Accept": BROWSER})  # noqa: S310
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            page = answer.read().decode()
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Vary"] == "Accept"
        assert collections["collections"]
        for collection in collections["collections"]:
            assert f"{service.root}collections/{collection['id']}/items" in page
        assert ("get_collection(" in page) is static_only
        status, landing = get(service.root, headers={"Accept": "*/*"})
        assert (status, landing["id"]) == (200, "cubehub")
    finally:
        service.stop()
