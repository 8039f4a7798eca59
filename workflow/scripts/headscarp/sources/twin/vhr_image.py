"""Images of a very-high-resolution twin: colours and textures of the ground, sun and shadow, and what each
sensor makes of them."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from headscarp.sources.twin.fields import blurred_noise, cast_shadow
from headscarp.sources.twin.vhr import BUILDING, ROAD, VEGETATION, WATER, ValleyGround
from headscarp.sources.twin.vhr_spec import PIXEL_M, SENSORS, VhrImage, VhrSpec

# Reflectance (red, green, blue). Debris ranges from the colour of the soil to that of fresh rock, which
# roofs, roads and works share.
_SOIL = {
    "arid": ((0.235, 0.190, 0.145), (0.190, 0.160, 0.128)),
    "humid": ((0.150, 0.120, 0.085), (0.120, 0.105, 0.080)),
}
_DEBRIS = ((0.220, 0.184, 0.146), (0.310, 0.284, 0.246))
_GRASS = {
    "arid": ((0.125, 0.130, 0.075), (0.095, 0.112, 0.060)),
    "humid": ((0.082, 0.118, 0.048), (0.060, 0.095, 0.040)),
}
_CROWN = {
    "arid": ((0.060, 0.082, 0.045), (0.082, 0.100, 0.055)),
    "humid": ((0.034, 0.062, 0.030), (0.060, 0.092, 0.036)),
}
_WATER = {"arid": (0.075, 0.105, 0.098), "humid": (0.042, 0.098, 0.105)}
_NET = (0.070, 0.165, 0.085)
_FOAM = (0.42, 0.44, 0.45)
_GRAVEL_ROAD, _ASPHALT = (0.250, 0.222, 0.188), (0.165, 0.160, 0.155)
# Roofs of earth and of concrete look like debris; the others are metal, tile and slate.
_ROOFS = np.array(
    [
        (0, 0, 0),
        (0.262, 0.220, 0.172),
        (0.305, 0.285, 0.258),
        (0.20, 0.27, 0.36),
        (0.27, 0.135, 0.10),
        (0.12, 0.12, 0.125),
    ]
)
# Share of the light that comes from the sky, and what it is in a shadow.
_SKY = 0.28
_STEP, _TALLEST_M = 2, 9.0


@dataclass(frozen=True)
class Texture:
    """What stays the same from date to date: colour without slides and that of debris, (band, row, col)
    float32 reflectance; relief of open ground and of debris (row, col) float32 m, too small for the
    elevation."""

    ground: np.ndarray
    debris: np.ndarray
    rough: np.ndarray
    rubble: np.ndarray


def texture_of(ground: ValleyGround, seed: int) -> Texture:
    """Colours and fine relief of the ground; the same ground and seed give the same."""
    spec, shape = ground.spec, ground.base.shape
    # Other seeds than the ground's, so that no noise repeats one of its fields.
    rng = np.random.default_rng([seed, 1])
    fine, medium, coarse = (blurred_noise(rng, shape, sigma) for sigma in (0.9, 4.0, 25.0))
    patchy = _share(coarse + 0.5 * medium)
    colour = _mixed(spec, _SOIL, patchy) * np.exp(0.07 * fine + 0.05 * medium)
    colour *= 1 + 0.07 * ground.furrow
    shrub = blurred_noise(rng, shape, 1.6) > 2.1 - 0.5 * spec.greenness
    colour[:, shrub] *= np.array([[0.50], [0.62], [0.50]], np.float32)

    streaks = _streaks(ground, rng)
    fresh = _fresh(ground, rng)
    debris = _between(_DEBRIS, np.clip(fresh + 0.16 * streaks + 0.1 * medium, -0.3, 1.2)) * np.exp(
        0.08 * fine + 0.05 * streaks
    )
    boulder = np.maximum(0, blurred_noise(rng, shape, 1.7) - 1.7)
    rubble = 0.10 * fine + 0.10 * streaks + 0.55 * boulder

    raw = ground.works | ground.mine
    colour[:, raw] = debris[:, raw]
    plants = ground.base == VEGETATION
    grass = _mixed(spec, _GRASS, patchy) * np.exp(0.10 * fine + 0.10 * medium) * (1 + 0.10 * ground.furrow)
    crown = _mixed(spec, _CROWN, _share(medium)) * np.exp(0.10 * fine)
    for mask, painted in ((plants, grass), (ground.crowns, crown)):
        colour[:, mask] = painted[:, mask]
    _paint_water(ground, colour, medium, fine)
    _paint_road(ground, colour, coarse, fine)
    built = ground.base == BUILDING
    colour[:, built] = (
        _ROOFS.astype(np.float32)[ground.roof[built]] * np.exp(0.05 * fine + 0.06 * medium)[built][:, None]
    ).T
    rough = np.where(plants, 0.10, 0.05) * fine + 0.03 * medium
    rough[np.isin(ground.base, (BUILDING, ROAD, WATER))] = 0
    rough = np.where(raw, rubble, rough)
    return Texture(
        colour.astype(np.float32),
        debris.astype(np.float32),
        rough.astype(np.float32),
        rubble.astype(np.float32),
    )


def lit_ground(ground: ValleyGround, texture: Texture, image: VhrImage, instances: np.ndarray) -> np.ndarray:
    """The ground in sunlight with the slides of a date, (band, row, col) float32 reflectance in cells of
    `PIXEL_M`."""
    sliding = instances > 0
    colour = np.where(sliding, texture.debris, texture.ground)
    netted = sliding & ground.nets()
    rows, cols = np.indices(netted.shape, np.int32)
    mesh = 1 + 0.14 * ((rows + cols) % 9 < 2) - 0.05 * ((rows - cols) % 9 < 2)
    net = np.array(_NET, np.float32)[:, None] * mesh[netted].astype(np.float32)
    # A mesh lets some of the debris through.
    colour[:, netted] = 0.8 * net + 0.2 * colour[:, netted]
    height = np.where(sliding, 0, ground.height)
    surface = (
        ndimage.gaussian_filter(ground.elevation, 2.0)
        + height
        + np.where(sliding & ~netted, texture.rubble, texture.rough)
    )
    return colour * _light(surface, height, *image.sun_deg)


def observed_cells(spec: VhrSpec, image: VhrImage, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the ground (fractions of cells) that an image's pixels show: displaced by its error
    of position and by height."""
    sensor, size = SENSORS[image.sensor], spec.grid(image.resolution_m).height
    centres = (np.arange(size) + 0.5) * image.resolution_m / PIXEL_M - 0.5
    rows, cols = np.meshgrid(centres, centres, indexing="ij")
    above = ndimage.map_coordinates(height, [rows, cols], order=0, mode="nearest")
    east, south = (shift + lean * above for shift, lean in zip(sensor.shift_m, sensor.lean, strict=True))
    return rows - south / PIXEL_M, cols - east / PIXEL_M


def observe(
    scene: np.ndarray, image: VhrImage, cells: tuple[np.ndarray, np.ndarray], seed: list[int]
) -> np.ndarray:
    """The image (band, row, col) float32 reflectance that a sensor takes of a scene at the cells of
    `observed_cells`."""
    sensor, rng = SENSORS[image.sensor], np.random.default_rng(seed)
    spread = sensor.spread * image.resolution_m / PIXEL_M
    seen = np.empty((len(scene), *cells[0].shape), np.float32)
    for band, values in enumerate(scene):
        sharp = ndimage.map_coordinates(
            ndimage.gaussian_filter(values, spread), cells, order=1, mode="nearest"
        )
        answer = sensor.gain[band] * sharp ** sensor.gamma[band] + sensor.offset[band]
        seen[band] = np.clip(
            answer + sensor.noise * rng.standard_normal(sharp.shape, dtype=np.float32), 0.001, 1.0
        )
    return seen


def seen_classes(values: np.ndarray, cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Codes (row, col) of the ground at the cells of `observed_cells`: what an interpreter of the image
    draws."""
    rows, cols = (
        np.clip(np.rint(part), 0, size - 1).astype(np.int32)
        for part, size in zip(cells, values.shape, strict=True)
    )
    return values[rows, cols]


def _mixed(spec: VhrSpec, colours: dict[str, tuple], share: np.ndarray) -> np.ndarray:
    """Colour (band, row, col) between a pair of colours by `share`, the pair itself between arid and humid by
    the spec's greenness."""
    arid, humid = (np.array(colours[climate]) for climate in ("arid", "humid"))
    return _between(arid + spec.greenness * (humid - arid), share)


def _between(colours: tuple | np.ndarray, share: np.ndarray) -> np.ndarray:
    first, second = np.array(colours, np.float32)
    return first[:, None, None] + (second - first)[:, None, None] * share.astype(np.float32)


def _share(noise: np.ndarray) -> np.ndarray:
    """Noise as a share from 0 to 1."""
    return 1 / (1 + np.exp(-1.5 * noise))


def _streaks(ground: ValleyGround, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance: drawn out down a slope (to the north and south, or to the east and west),
    blotches on gentle ground."""
    southward, eastward = np.gradient(ndimage.gaussian_filter(ground.elevation, 12.0), PIXEL_M)
    steep = np.clip(np.hypot(southward, eastward) / 0.35, 0, 1)
    # The fourth power, so that few slopes get both at once, which would weave them.
    share = southward**4 / np.maximum(southward**4 + eastward**4, 1e-12)
    upright, level, blotches = (
        ndimage.gaussian_filter(rng.standard_normal(share.shape, dtype=np.float32), sigma)
        for sigma in ((14.0, 1.5), (1.5, 14.0), 4.5)
    )
    streaks = steep * (np.sqrt(share) * upright + np.sqrt(1 - share) * level) + (1 - steep) * blotches
    return streaks / streaks.std()


def _fresh(ground: ValleyGround, rng: np.random.Generator) -> np.ndarray:
    """How much debris looks like fresh rock (0 to 1): one draw for each slide and each patch of works, the
    mine somewhere between."""
    of_slide = np.r_[0.5, rng.beta(1.6, 1.6, len(ground.slides))].astype(np.float32)
    fresh = of_slide[ground.owner]
    patches, count = ndimage.label(ground.works)
    of_patch = np.r_[0.0, rng.beta(1.6, 1.6, count)].astype(np.float32)
    steep = np.hypot(*np.gradient(ndimage.gaussian_filter(ground.elevation, 2.0), PIXEL_M))
    fresh = np.where(ground.works, of_patch[patches], fresh)
    # The faces of the mine's benches are fresh rock, their treads are driven on.
    return np.where(ground.mine, 0.25 + 0.6 * np.clip(steep, 0, 1), fresh).astype(np.float32)


def _paint_water(ground: ValleyGround, colour: np.ndarray, medium: np.ndarray, fine: np.ndarray) -> None:
    water = ground.base == WATER
    arid, humid = (np.array(_WATER[climate], np.float32) for climate in ("arid", "humid"))
    shore = ndimage.distance_transform_edt(water) * PIXEL_M
    shallow = (0.35 * np.exp(-shore / 1.5))[water]
    tone = (arid + ground.spec.greenness * (humid - arid))[:, None] * (
        1 + 0.06 * medium[water] + 0.03 * fine[water]
    )
    foam = np.clip((medium[water] + 0.6 * fine[water] - 1.7) * 0.6, 0, 0.8)
    for band in range(3):
        clear = tone[band] * (1 - shallow) + shallow * colour[band][water]
        colour[band][water] = clear * (1 - foam) + _FOAM[band] * foam


def _paint_road(ground: ValleyGround, colour: np.ndarray, coarse: np.ndarray, fine: np.ndarray) -> None:
    road = ground.base == ROAD
    edge = ndimage.distance_transform_edt(road) * PIXEL_M
    # Dust covers the asphalt in places, and more of it at the edges.
    dust = np.clip(0.5 + 0.3 * coarse[road] + 0.4 * np.exp(-edge[road] / 0.6), 0, 1)
    half = edge[road].max()
    line = (edge[road] > half - 0.35) & (dust < 0.7)
    for band in range(3):
        paved = _ASPHALT[band] * (1 - dust) + _GRAVEL_ROAD[band] * dust
        colour[band][road] = np.where(line, 0.38, paved) * (1 + 0.04 * fine[road])


def _light(surface: np.ndarray, height: np.ndarray, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Light on a surface (row, col) relative to level open ground, with the shadows that plants and buildings
    cast."""
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    southward, eastward = np.gradient(surface, PIXEL_M)
    incidence = np.sin(elevation) - np.cos(elevation) * (
        eastward * np.sin(azimuth) - southward * np.cos(azimuth)
    )
    incidence /= np.sqrt(1 + southward**2 + eastward**2)
    sun = np.clip(incidence / np.sin(elevation), 0, 1.6)
    shaded = cast_shadow(height, PIXEL_M, (azimuth_deg, elevation_deg), _TALLEST_M, _STEP)
    soft = ndimage.gaussian_filter(1 - shaded.astype(np.float32), 0.7)
    return ((1 - _SKY) * sun * soft + _SKY).astype(np.float32)
