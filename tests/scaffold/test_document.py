"""A document is read as what somebody types who follows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scaffold.document import Changes, Typed, Whole, steps

DOCUMENT = """\
Type this:

```sh
stagepost new service returns
stagepost check
```

```python services/returns/api.py
ROUTES = ()
```

```diff services/returns/app.py
 service = Service(
-    about="Nothing.",
+    about="Returns.",
@@
     port=1,

+    more=2,
 )
```
"""
APP = 'service = Service(\n    about="Nothing.",\n    port=1,\n\n)\n'


def test_its_blocks_are_typed_in_order(tmp_path: Path) -> None:
    *commands, whole, changes = steps(DOCUMENT)

    assert commands == [Typed("stagepost new service returns"), Typed("stagepost check")]
    assert whole == Whole("services/returns/api.py", "ROUTES = ()\n")
    assert isinstance(changes, Changes)
    app = tmp_path / "services/returns/app.py"
    app.parent.mkdir(parents=True)
    app.write_text(APP)
    changes.type_in(tmp_path)
    assert app.read_text() == (
        'service = Service(\n    about="Returns.",\n    port=1,\n\n    more=2,\n)\n'
    )


@pytest.mark.parametrize("text", ["port=1\n", f"{APP}{APP}"], ids=["nowhere", "twice"])
def test_what_does_not_fit_one_place_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "app.py").write_text(text)

    with pytest.raises(AssertionError, match=r"app\.py has not, or more than once"):
        Changes("app.py", (" service = Service(\n",)).type_in(tmp_path)


def test_a_block_that_nobody_can_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="a block of yaml"):
        list(steps("```yaml\na: 1\n```\n"))
