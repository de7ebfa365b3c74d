"""What a run is asked to do, as it travels from the command line to the run record."""

from dataclasses import asdict, dataclass
from typing import Any

ENGINES = ("openvino", "tensorflow")
PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True)
class RunSettings:
    """All that decides a run's numbers. `resume` refuses a run whose settings differ in any of these."""

    images: str
    weights_sha256: str
    engine: str = "openvino"
    precision: str = "f32"
    image_size: int = 224
    components: int | None = 200
    variance: float | None = None
    classes: tuple[str, ...] = ()
    limit: int | None = None
    sample_seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON can hold them (tuples become lists)."""
        return {**asdict(self), "classes": list(self.classes)}

    def differences(self, stored: dict[str, Any]) -> list[str]:
        """Names of the settings that differ from those of an earlier start, as `as_json` wrote them."""
        return sorted(name for name, value in self.as_json().items() if stored.get(name) != value)
