from __future__ import annotations

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        """Name the places of the navigation that belong to nobody else."""
        from core import navigation

        navigation.register(
            navigation.Place(80, "People", "Add people, their roles and their training dates.", "people"),
            navigation.Place(90, "My account", "Your password, codes, passkeys and API tokens.", "my_account"),
        )
