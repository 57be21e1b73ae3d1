"""What a service does in its code that is another's, in small packages written for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagepost.engine.discovery import find_services
from stagepost.engine.findings.code import Reach, find_reaches

MAIL_SQL = """
CREATE TABLE letters (id text);
CREATE TABLE IF NOT EXISTS "stamps" (id text);
CREATE MATERIALIZED VIEW sent AS SELECT 1;
-- CREATE TABLE dreams (id text);
"""


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Two services: crm has the tables `customers` and `sent`, mail has those above."""
    found = {name: tmp_path / "services" / name for name in ("crm", "mail")}
    for folder in found.values():
        (folder / "sql").mkdir(parents=True)
    (found["mail"] / "sql" / "100_mail.sql").write_text(MAIL_SQL)
    (found["crm"] / "sql" / "100_crm.sql").write_text(
        "CREATE TABLE customers (id text);\nCREATE TABLE sent (id text);\n"
    )
    return found


def found_in(folders: dict[str, Path], file: str, text: str) -> list[Reach]:
    path = folders["crm"] / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return find_reaches(folders)


# Imports.


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("import services.mail.api", "services.mail.api"),
        ("from services.mail.api import ROUTES", "services.mail.api.ROUTES"),
        ("from services import mail", "services.mail"),
        ("from ..mail import api", "services.mail.api"),
        ("from .. import mail", "services.mail"),
        ("def late():\n    import services.mail", "services.mail"),
        ("from services import crm, mail as post", "services.mail"),
        ("importlib.import_module('services.mail.api')", "services.mail.api"),
        ("importlib.import_module('..mail.api', __package__)", "services.mail.api"),
    ],
)
def test_an_import_of_another_service_is_found(
    folders: dict[str, Path], text: str, module: str
) -> None:
    line = text.count("\n") + 1

    assert found_in(folders, "app.py", text) == [
        Reach("crm", "mail", "services/crm/app.py", line, f"imports {module}")
    ]


def test_a_relative_import_is_read_from_where_it_stands(folders: dict[str, Path]) -> None:
    assert len(found_in(folders, "parts/deep.py", "from ...mail import api")) == 1
    assert found_in(folders, "parts/deep.py", "from ..mail import api") == []


@pytest.mark.parametrize(
    "text",
    [
        "from services.crm.api import ROUTES",
        "from services.mailing import lists",
        "from contracts import mail",
        "from .mail import letter",
        '"""What services.mail.api does is its own affair."""',
    ],
)
def test_other_imports_are_fine(folders: dict[str, Path], text: str) -> None:
    assert found_in(folders, "app.py", text) == []


# Its database.


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("SELECT * FROM letters", "letters"),
        ("SELECT * FROM customers c, letters l", "letters"),
        ("SELECT * FROM customers JOIN letters USING (id)", "letters"),
        ("UPDATE ONLY stamps SET id = 1", "stamps"),
        ('insert into "mail"."letters" VALUES (1)', "mail.letters"),
        ("SELECT * FROM mail.sent", "mail.sent"),
        ("DELETE FROM customers USING letters", "letters"),
        ("/* all of them */ SELECT * FROM letters", "letters"),
        ("(SELECT * FROM letters)", "letters"),
        ("SELECT * FROM\n  LETTERS", "letters"),
        ("MERGE INTO letters USING customers ON true WHEN MATCHED THEN DELETE", "letters"),
        ("CREATE TABLE mine (id text REFERENCES letters)", "letters"),
        ("create or replace view mine as select * from mail.letters", "mail.letters"),
        ("ALTER TABLE IF EXISTS ONLY letters ADD seen boolean", "letters"),
        ("DROP TABLE IF EXISTS letters", "letters"),
        ("TRUNCATE letters", "letters"),
        ("LOCK TABLE customers, letters", "letters"),
    ],
)
def test_sql_that_names_a_table_of_another_service_is_found(
    folders: dict[str, Path], text: str, table: str
) -> None:
    reads = f"reads the table {table} of mail"

    (in_sql,) = found_in(folders, "sql/queries.sql", f"-- name: all\n{text}\n")
    (folders["crm"] / "sql" / "queries.sql").unlink()
    (in_python,) = found_in(folders, "app.py", f"QUERY = '''{text}'''\n")

    assert in_sql == Reach("crm", "mail", "services/crm/sql/queries.sql", 2, reads)
    assert in_python == Reach("crm", "mail", "services/crm/app.py", 1, reads)


@pytest.mark.parametrize(
    "text",
    [
        "QUERY = f'SELECT {columns} FROM letters WHERE id = {id}'",
        "QUERY = (f'SELECT {columns} '\n    'FROM letters')",
    ],
)
def test_sql_that_is_filled_in_later_is_read_as_one(folders: dict[str, Path], text: str) -> None:
    assert [reach.how for reach in found_in(folders, "app.py", text)] == [
        "reads the table letters of mail"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM customers",
        "SELECT * FROM sent -- one of its own, by the same name",
        "SELECT * FROM dreams",
        "SELECT 1 -- FROM letters",
        "/* FROM letters\n*/ SELECT 1",
        "WITH letters AS (SELECT 1) SELECT * FROM letters",
        "WITH RECURSIVE letters (id) AS (SELECT 1) SELECT * FROM letters",
        "SELECT * FROM customers FOR UPDATE OF customers",
        "ALTER TABLE customers ADD letters text REFERENCES customers (id)",
        "SELECT letters FROM customers",
        "SELECT extract(epoch FROM now()) FROM outbox",
        "SELECT * FROM customers WHERE id IS DISTINCT FROM letters",
    ],
)
def test_other_sql_is_fine(folders: dict[str, Path], text: str) -> None:
    assert found_in(folders, "sql/queries.sql", text) == []


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("DSN = 'postgresql://me@host:1/mail?x=1'", "connects to the database of mail"),
        ("DSN = f'postgresql+asyncpg://{user}@{host}/mail'", "connects to the database of mail"),
        ("DSN = 'host=here dbname=mail'", "connects to the database of mail"),
        ("connect(host='here', database='mail')", "connects to the database of mail"),
        ("connect(dbname='mail')", "connects to the database of mail"),
        ("os.environ['MAIL_DATABASE']", "knows a setting MAIL_DATABASE, of mail"),
        ("os.environ['STAGEPOST_MAIL_DSN']", "knows a setting STAGEPOST_MAIL_DSN, of mail"),
        ("f'{settings.mail_dsn} and more'", "knows a setting mail_dsn, of mail"),
        ("settings.mail_database_url", "knows a setting mail_database_url, of mail"),
    ],
)
def test_a_way_into_the_database_of_another_service_is_found(
    folders: dict[str, Path], text: str, how: str
) -> None:
    assert [reach.how for reach in found_in(folders, "app.py", text)] == [how]


@pytest.mark.parametrize(
    "text",
    [
        "DSN = 'postgresql://mail@host:1/crm'",
        "settings.database",
        "connect(host='mail', database='crm')",
        "os.environ['STAGEPOST_CRM_DATABASE']",
        "raise Refused('no answer from letters; select another')",
        "raise Refused(f'create {name} from letters')",
        '"""Select what comes from letters."""',
    ],
)
def test_a_way_into_its_own_database_and_words_for_people_are_fine(
    folders: dict[str, Path], text: str
) -> None:
    assert found_in(folders, "app.py", text) == []


def test_a_link_to_a_foreign_server_is_found_by_its_database(folders: dict[str, Path]) -> None:
    text = "-- why\nCREATE SERVER s\n  FOREIGN DATA WRAPPER w OPTIONS (dbname 'mail')\n"
    (reach,) = found_in(folders, "sql/101_more.sql", text)

    assert (reach.line, reach.how) == (3, "connects to the database of mail")


def test_no_service_of_the_sample_reaches_into_another() -> None:
    assert find_reaches({n: service.sql.parent for n, service in find_services().items()}) == []
