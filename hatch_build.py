"""Build hook of hatchling: puts `bundles/` into the wheel."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundlesHook(BuildHookInterface):
    """Ships `bundles/` as `nephro_monai/bundles`, except in editable installs, which read the repository's own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the folder to what the wheel carries.

        Args:
            version: `standard` or `editable`.
            build_data: Hatchling's record of the build; `force_include` maps sources to places in the wheel.
        """
        if version == "standard":
            build_data["force_include"]["bundles"] = "nephro_monai/bundles"
