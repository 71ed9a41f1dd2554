"""The GPU of a machine, as a stand-in for `torch.cuda` describes it, or why there is none."""

from dataclasses import dataclass, field

import pytest
import torch

from spikeinterface_cloud.runtime.cuda import Gpu, NoGpu, describe_gpu, find_gpu, has_kernels

#: what torch of CUDA 13.0 is compiled for
OF_CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@dataclass
class Properties:
    """What torch says of a card."""

    name: str
    major: int
    minor: int
    total_memory: int = 16 * 1024**3


@dataclass
class Cuda:
    """Stand-in for `torch.cuda` on a machine with these cards."""

    cards: list[Properties]
    architectures: list[str] = field(default_factory=lambda: OF_CUDA_13)
    error: Exception | None = None

    def is_available(self) -> bool:
        return bool(self.cards)

    def device_count(self) -> int:
        return len(self.cards)

    def get_device_properties(self, device: int) -> Properties:
        if self.error is not None:
            raise self.error
        return self.cards[device]

    def get_arch_list(self) -> list[str]:
        return self.architectures


T4 = Properties(name="Tesla T4", major=7, minor=5)
V100 = Properties(name="Tesla V100-SXM2-16GB", major=7, minor=0)


def refused(cuda: Cuda, index: int = 0) -> NoGpu:
    found = describe_gpu(cuda, index)
    assert isinstance(found, NoGpu)
    assert "\n" not in found.reason
    return found


def test_card_that_torch_can_use_is_described() -> None:
    assert describe_gpu(Cuda([T4]), 0) == Gpu(name="Tesla T4", memory_bytes=16 * 1024**3)
    assert describe_gpu(Cuda([V100, T4]), 1) == Gpu(name="Tesla T4", memory_bytes=16 * 1024**3)
    assert describe_gpu(Cuda([]), 0) is None


def test_device_that_the_machine_does_not_have_is_refused() -> None:
    found = refused(Cuda([T4, T4]), 7)
    assert found.reason == "there is no cuda:7 among the CUDA devices here, 2 in all"
    assert found.remedy == "set torch_device to cuda, or to one up to cuda:1"


def test_card_without_kernels_is_refused_with_the_oldest_that_has_them() -> None:
    found = refused(Cuda([V100]))
    assert "V100-SXM2-16GB here has compute capability 7.0" in found.reason
    assert found.reason.endswith("is for 7.5, 8.0, 8.6, 9.0, 10.0, 12.0")
    assert found.remedy.startswith("use a GPU of compute capability 7.5 or later, or build the im")


def test_card_newer_than_all_kernels_is_refused() -> None:
    newest = Properties(name="B200", major=10, minor=0)
    found = refused(Cuda([newest], ["sm_80", "sm_90"]))
    assert found.remedy == "use an older GPU, or build the image with another TORCH_INDEX"


def test_card_in_a_bad_state_is_no_card() -> None:
    broken = RuntimeError("CUDA error: uncorrectable ECC error encountered\nCompile with ...")
    found = refused(Cuda([T4], error=broken))
    assert found.reason.endswith("not work: CUDA error: uncorrectable ECC error encountered")
    assert found.remedy == "restart this machine, or run the job on another"
    assert refused(Cuda([T4], error=AssertionError())).reason.endswith("AssertionError")
    lazily = torch.cuda.DeferredCudaCallError("CUDA call failed lazily at initialization")
    assert refused(Cuda([T4], error=lazily)).reason.endswith("lazily at initialization")


def test_torch_without_cuda_is_no_card() -> None:
    if torch.version.cuda is not None:
        pytest.skip("torch has CUDA here")
    with pytest.raises(AssertionError) as raised:
        torch.cuda.get_device_properties(0)
    assert str(raised.value) in refused(Cuda([T4], error=raised.value)).reason


def test_machine_has_a_card_or_a_reason() -> None:
    assert isinstance(find_gpu(), Gpu if torch.cuda.is_available() else NoGpu)


@pytest.mark.parametrize(
    ("capability", "architectures", "expected"),
    [
        ((7, 5), OF_CUDA_13, True),
        ((8, 9), OF_CUDA_13, True),  # code of 8.6
        ((10, 3), OF_CUDA_13, True),
        ((12, 1), OF_CUDA_13, True),
        ((7, 0), OF_CUDA_13, False),
        ((6, 0), OF_CUDA_13, False),
        ((11, 0), OF_CUDA_13, False),  # of no major version that has code
        ((11, 0), [*OF_CUDA_13, "compute_90"], True),
        ((8, 0), ["sm_86"], False),
        ((8, 6), ["compute_90"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 0), ["compute_90a"], False),
        ((10, 3), ["sm_100f"], True),
        ((9, 0), [], True),
        ((9, 0), ["gfx90a"], True),
    ],
)
def test_code_runs_on_later_cards_of_its_major_version(
    capability: tuple[int, int], architectures: list[str], expected: bool
) -> None:
    assert has_kernels(capability, architectures) is expected
