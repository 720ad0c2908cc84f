"""Make the object code of the event loops while the package is built, so that no user's first run compiles anything.

Where numba cannot be had for a platform, the package is built without it, and the loops compile on the first run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Adds object files to a wheel, or leaves them in the checkout of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile every entry into ``optimizer/simulate/_loops`` and tag the wheel with its platform."""
        sys.path.insert(0, self.root)
        try:
            from optimizer.simulate.compiled import BUILT, import_compiler, write_object_code
            from optimizer.simulate.fleet_loop import serve_fleet
            from optimizer.simulate.loop import run
            from optimizer.simulate.people_loop import serve_people
            from optimizer.simulate.session_loop import serve_sessions

            import_compiler()
        except ImportError as error:
            self.app.display_warning(f"event loops are not compiled ahead of time: {error}")
            return
        finally:
            sys.path.remove(self.root)
        for old in BUILT.glob("*.o"):
            old.unlink()
        if all(write_object_code(entry, BUILT) for entry in (run, serve_fleet, serve_people, serve_sessions)):
            build_data["artifacts"].append(f"{Path(BUILT).relative_to(self.root).as_posix()}/*.o")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{next(sys_tags()).platform}"
