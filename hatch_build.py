"""Builds the page into the wheel. Where Node.js is missing the wheel has none, and `/` says what to do."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageBuildHook(BuildHookInterface[Any]):
    """Runs before a wheel is put together; an editable install serves whatever `make web` built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page unless it is there, or cannot be."""
        web = Path(self.root) / "web"
        page = Path(self.root) / "src" / "heliograph" / "gateway" / "page" / "index.html"
        if version == "editable" or page.exists() or not web.is_dir():
            return
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning("Node.js is not installed: this build has no page (the API and CLI are complete)")
            return
        for command in (["ci", "--no-audit", "--no-fund", "--loglevel=error"], ["run", "build"]):
            if subprocess.run([npm, *command], cwd=web, check=False).returncode:  # noqa: S603 - npm, by its full path
                self.app.display_warning(f"`npm {command[0]}` failed: this build has no page; see `make web`")
                return
