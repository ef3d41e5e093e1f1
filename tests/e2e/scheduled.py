"""An application with a schedule of its own, for the end-to-end tests."""

from tests.e2e.handlers import app, work

app.schedule("often", work, every="1s", arguments={"seconds": 0}, misfire="all")
