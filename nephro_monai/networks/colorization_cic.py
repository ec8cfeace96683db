"""Colorful Image Colorization (Zhang 2016), with a width, on windowed CT slices."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.errors import WeightsError
from nephro_monai.networks.lab_color import ab_bin_centers, lab_to_rgb, rgb_to_lab

__all__ = ["ColorfulColorizer", "load_released_checkpoint"]


class ColorfulColorizer(nn.Module):
    """Gray slice in, colored slice out: lightness is kept, the two color channels are predicted.

    Ten sequences with the key layout of the released checkpoint (`model1.0.weight` ... `model8.6.bias`,
    `model_out.weight`), every channel count a multiple of `width`: 64 is the paper's network, 16 is what ships here.
    The last convolution turns the probabilities of the quantized colors into their expectation; it starts as the
    centers of the colors over 110 and stays so in training.

    Lightness is CIE L of the gray picture, as the original computes it from a photograph, so that zero ab gives the
    gray slice back unchanged.

    Args:
        width: Channels of the first sequence.
        bins: Number of quantized colors.
        shrink: Colors are predicted from the slice averaged over squares of this side: 1 in the paper; 2 needs a
            quarter of the work and sees twice as far, for colors at half the resolution (lightness keeps its own).
        temperature: Of the annealed mean that turns the distribution into a color (Zhang 2016, section 2.3): 1 is the
            plain mean, as in the released network; the paper's 0.38 gives more vivid colors where the network doubts.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, width: int = 64, bins: int = 313, shrink: int = 1, temperature: float = 1.0) -> None:
        super().__init__()
        if width < 1 or shrink < 1 or temperature <= 0:
            raise ValueError(
                f"width and shrink must be at least 1 and temperature above 0, got {width}, {shrink} and {temperature}."
            )
        self.shrink = shrink
        self.temperature = temperature
        w1, w2, w4, w8 = width, 2 * width, 4 * width, 8 * width
        self.model1 = _sequence([_conv(1, w1), _conv(w1, w1, stride=2)], w1)
        self.model2 = _sequence([_conv(w1, w2), _conv(w2, w2, stride=2)], w2)
        self.model3 = _sequence([_conv(w2, w4), _conv(w4, w4), _conv(w4, w4, stride=2)], w4)
        self.model4 = _sequence([_conv(w4, w8), _conv(w8, w8), _conv(w8, w8)], w8)
        self.model5 = _sequence([_conv(w8, w8, dilation=2) for _ in range(3)], w8)
        self.model6 = _sequence([_conv(w8, w8, dilation=2) for _ in range(3)], w8)
        self.model7 = _sequence([_conv(w8, w8) for _ in range(3)], w8)
        up = nn.ConvTranspose2d(w8, w4, kernel_size=4, stride=2, padding=1)
        self.model8 = nn.Sequential(
            up, nn.ReLU(True), _conv(w4, w4), nn.ReLU(True), _conv(w4, w4), nn.ReLU(True), nn.Conv2d(w4, bins, 1)
        )
        self.model_out = nn.Conv2d(bins, 2, kernel_size=1, bias=False)
        self.model_out.weight = nn.Parameter(ab_bin_centers(bins).T[:, :, None, None] / 110.0, requires_grad=False)
        for layer in self.modules():
            _initialize(layer)

    def color_logits(self, gray: torch.Tensor) -> torch.Tensor:
        """Scores of the quantized colors at a quarter of the resolution that colors are predicted from.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 8 x shrink.

        Returns:
            (B, bins, H / (4 x shrink), W / (4 x shrink)).
        """
        if self.shrink > 1:
            gray = functional.avg_pool2d(gray, self.shrink)
        lightness = _lightness(gray.float())
        features = self.model3(self.model2(self.model1((lightness - 50.0) / 100.0)))
        return self.model8(self.model7(self.model6(self.model5(self.model4(features)))))

    def expected_ab(self, logits: torch.Tensor) -> torch.Tensor:
        """The color that scores (B, bins, h, w) stand for: (B, 2, h, w) float32, a and b in Lab units."""
        return 110.0 * self.model_out(torch.softmax(logits.float() / self.temperature, dim=1)).float()

    def predict_ab(self, gray: torch.Tensor) -> torch.Tensor:
        """Colors before they are enlarged: (B, 1, H, W) in 0..1 to ab at the resolution of `color_logits`, float32."""
        return self.expected_ab(self.color_logits(gray))

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Colors windowed slices.

        Args:
            gray: (B, 1, H, W) in 0..1, H and W multiples of 8 x shrink.

        Returns:
            (B, 3, H, W) sRGB in 0..1, float32.
        """
        step = 8 * self.shrink
        if gray.dim() != 4 or gray.size(1) != 1 or gray.size(2) % step != 0 or gray.size(3) % step != 0:
            raise ValueError(
                f"Expected gray slices (B, 1, H, W), sides divisible by {step}, got {list(gray.shape)}; resize them."
            )
        lightness = _lightness(gray.float())
        ab = functional.interpolate(self.predict_ab(gray), size=gray.shape[2:], mode="bilinear", align_corners=False)
        return lab_to_rgb(torch.cat([lightness, ab], dim=1))


def load_released_checkpoint(network: ColorfulColorizer, path: str | Path) -> tuple[int, int]:
    """Loads the authors' checkpoint (or any file named by the same rule) into a network of the same width.

    Args:
        network: `ColorfulColorizer(width=64, bins=313)` for the released file.
        path: File whose name ends in `-<first hexadecimal digits of its SHA-256>.pth`,
            for example `colorization_release_v2-9b330a0b.pth`.

    Returns:
        Counts of loaded and of skipped tensors; skipped are the file's tensors that the network does not have.

    Raises:
        WeightsError: If the file is missing, its checksum does not fit its name, it is no plain state_dict, or a
            tensor that the network needs is missing or has another shape.
    """
    path = Path(path)
    _check_name_against_contents(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a plain state_dict of tensors: {error}. Download the file again.") from error
    own = network.state_dict()
    wrong = [
        f"{key} {tuple(state[key].shape) if key in state else 'missing'} instead of {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if key not in state or state[key].shape != tensor.shape
    ]
    if wrong:
        raise WeightsError(
            f"{path} does not fit this network in {len(wrong)} of {len(own)} tensors, first {wrong[0]}; "
            "the released checkpoint needs ColorfulColorizer(width=64, bins=313)."
        )
    network.load_state_dict({key: state[key] for key in own})
    skipped = len(state) - len(own)
    print(f"{path.name}: {len(own)} tensors loaded, {skipped} skipped")
    return len(own), skipped


def _check_name_against_contents(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give the path of the downloaded checkpoint.")
    suffix = re.search(r"-([0-9a-f]{8,64})$", path.stem)
    if suffix is None:
        raise WeightsError(
            f"{path.name} carries no checksum; keep the released name, such as colorization_release_v2-9b330a0b.pth."
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(suffix.group(1)):
        raise WeightsError(
            f"{path.name} is damaged or altered: its SHA-256 starts with {digest[: len(suffix.group(1))]}, "
            f"its name says {suffix.group(1)}. Download it again."
        )


def _lightness(gray: torch.Tensor) -> torch.Tensor:
    return rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]


def _initialize(layer: nn.Module) -> None:
    """He's initialization, and near-identity where a convolution keeps shape and channels.

    22 plain convolutions without shortcuts hardly begin to train from torch's default, and never did in the time that
    two processor cores have; starting as the identity plus a little noise, they train like a residual network.
    """
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or layer.kernel_size == (1, 1):
        return
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if isinstance(layer, nn.Conv2d) and layer.stride == (1, 1) and layer.in_channels == layer.out_channels:
        identity = nn.init.dirac_(torch.empty_like(layer.weight))
        layer.weight.data.mul_(0.3).add_(identity)


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=dilation, dilation=dilation)


def _sequence(convolutions: list[nn.Conv2d], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for convolution in convolutions:
        layers += [convolution, nn.ReLU(True)]
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs))
