"""Reading a window of a remote raster onto a grid: mirrors, signed addresses, servers that falter."""

import json
import logging
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import numpy as np
import odc.stac
import pystac
import shapely
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.warp import transform_bounds

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.sources import downloads
from headscarp.sources.downloads import FetchFailed, TemporaryFailure, addresses_of, as_fetch_failures

TIMEOUT_S = 30.0
# GDAL itself asks again after a server's error, but not after 429, since it does not heed Retry-After. What
# it has read of a file is forgotten when the file is closed, or else half an answer would be taken for the
# file at the next attempt.
GDAL_OPTIONS = {
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_RETRY_CODES": "500,502,503,504",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/http",
    "CPL_VSIL_CURL_USE_HEAD": "NO",
}
SAS_ENDPOINT = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
BLOB_HOST = ".blob.core.windows.net"
BUCKETS = {
    ("s3://", "/vsis3/"): "https://{bucket}.s3.amazonaws.com",
    ("gs://", "/vsigs/"): "https://storage.googleapis.com/{bucket}",
}
RENEW_BEFORE_S = 300  # a token that expires within so many seconds is asked for anew


class Signer:
    """Adds to addresses in the Planetary Computer's blob storage the token that its SAS endpoint gives out
    for a container.

    Written to its documentation, not tried live: the endpoint answers `<endpoint>/<account>/<container>` with
    `token` and `msft:expiry`.
    """

    def __init__(self, endpoint: str = SAS_ENDPOINT):
        self._endpoint = endpoint
        self._tokens: dict[str, tuple[str, datetime]] = {}

    def __call__(self, address: str) -> str:
        """The address with a token; one outside the blob storage or with a query stays as it is.

        Raises:
            FetchFailed: the endpoint gives no token.
        """
        parts = urlsplit(address)
        if not (parts.hostname or "").endswith(BLOB_HOST) or parts.query:
            return address
        container = f"{parts.hostname.removesuffix(BLOB_HOST)}/{parts.path.removeprefix('/').split('/')[0]}"
        if (
            container not in self._tokens
            or (self._tokens[container][1] - datetime.now(UTC)).total_seconds() < RENEW_BEFORE_S
        ):
            self._tokens[container] = self._ask(container)
        return f"{address}?{self._tokens[container][0]}"

    def _ask(self, container: str) -> tuple[str, datetime]:
        with (
            as_fetch_failures(),
            urllib.request.urlopen(f"{self._endpoint}/{container}", timeout=TIMEOUT_S) as answer,
        ):
            record = json.load(answer)
            if not {"token", "msft:expiry"} <= set(record):
                raise ValueError(f"no token for {container}")
            return record["token"], datetime.fromisoformat(record["msft:expiry"])


def read_band(
    address: str,
    grid: Grid,
    dtype: str,
    resampling: str,
    nodata: float | None,
    mirror: str | None,
    sign: Callable[[str], str],
    what: str,
) -> np.ndarray:
    """Band 1 of a raster on a grid, (row, col) of `dtype`; only the blocks under the grid (of an overview if
    it is coarser) are read.

    Cells without data are NaN for float types and `nodata` for integers. The file is read in the mirror if it
    is there.

    Args:
        address: URL or path; s3:// stands for a public bucket.
        resampling: "bilinear" or "nearest".
        nodata: that of a file that declares none.
        what: whose file it is, for messages.

    Raises:
        HeadscarpError: the file cannot be read whole, after repeated attempts: leaving it out would be a gap
            that nobody sees.
    """
    address, failures = public_address(address), []
    for candidate in readable_addresses(address, mirror):
        try:
            return with_retries(candidate, lambda url: load_band(sign(url), grid, dtype, resampling, nodata))
        except FetchFailed as failure:
            failures.append(f"{candidate}: {failure}")
    raise HeadscarpError(
        f"{what} cannot be read. Tried {'; '.join(failures)}. Try again later, put a sound copy into "
        "the folder of `mirror:`, choose dates for which it is not needed, or set another `api:`"
    )


def public_address(address: str) -> str:
    """The https address of an object in a public bucket of Amazon or Google; other addresses as they are."""
    address = address.removeprefix("/vsicurl/")
    for prefixes, host in BUCKETS.items():
        for prefix in prefixes:
            if address.startswith(prefix):
                bucket, _, key = address.removeprefix(prefix).partition("/")
                return f"{host.format(bucket=bucket)}/{key}"
    return address


def readable_addresses(address: str, mirror: str | None) -> list[str]:
    """Where to read a file, in order: its copy in a mirror (if that is a folder, only where it is there), its
    own address."""
    if "://" not in address:
        return [address]
    return [
        candidate
        for candidate in addresses_of(address, mirror)
        if "://" in candidate or Path(candidate).is_file()
    ]


def with_retries(address: str, read: Callable[[str], np.ndarray]) -> np.ndarray:
    """What `read` gives of an address, tried again as long as its server may yet give it.

    Raises:
        FetchFailed: it does not, or not any more.
    """
    attempt = 0
    while True:
        try:
            try:
                return read(address)
            except RasterioError as error:
                raise_unreadable(address, error)
        except TemporaryFailure as failure:
            attempt += 1
            if attempt == downloads.ATTEMPTS:
                raise FetchFailed(f"{failure}, in {attempt} attempts") from None
            wait = min(
                max(failure.wait, downloads.FIRST_WAIT_S * 2 ** (attempt - 1)), downloads.LONGEST_WAIT_S
            )
            logging.warning("%s: %s; asking again in %.1f s", address, failure, wait)
            time.sleep(wait)


def raise_unreadable(address: str, error: RasterioError) -> NoReturn:
    """Raise why a raster was not read: GDAL seldom tells, so its server is asked for the first byte.

    Raises:
        FetchFailed: it is not to be had there. TemporaryFailure: it may be later.
    """
    cause = f"the file is truncated or no raster ({error.__cause__ or error})"
    if "://" not in address:
        raise FetchFailed(cause)
    with (
        as_fetch_failures(),
        urllib.request.urlopen(
            urllib.request.Request(address, headers={"Range": "bytes=0-0"}), timeout=TIMEOUT_S
        ),
    ):
        pass
    raise TemporaryFailure(cause)


def load_band(address: str, grid: Grid, dtype: str, resampling: str, nodata: float | None) -> np.ndarray:
    """Band 1 of one raster on a grid, by odc-stac, which is told nothing but its address: what items say of
    their rasters may be wrong."""
    footprint = shapely.box(*transform_bounds(grid.crs, "EPSG:4326", *grid.bounds))
    item = pystac.Item(
        "one",
        shapely.geometry.mapping(footprint),
        list(footprint.bounds),
        datetime(2000, 1, 1, tzinfo=UTC),
        {},
    )
    item.collection_id = "one"
    item.add_asset("band", pystac.Asset(address, media_type=pystac.MediaType.COG, roles=["data"]))
    described = {"data_type": dtype} | ({} if nodata is None else {"nodata": nodata})
    with no_lost_tags():
        data = odc.stac.load(
            [item],
            ["band"],
            geobox=GeoBox(grid.shape, grid.transform, grid.crs),
            resampling=resampling,
            dtype=dtype,
            stac_cfg={"one": {"assets": {"*": described}}},
        )
    values = data["band"].values[0]
    if nodata is not None and values.dtype.kind == "f":
        values[values == nodata] = np.nan
    return values


@contextmanager
def no_lost_tags() -> Iterator[None]:
    """Make an error of what GDAL only warns of: a header of which a part did not arrive, so that a raster
    loses its place or its nodata.

    Raises:
        RasterioIOError: that happened, or a raster has no CRS.
    """
    warned = LostTagWarnings()
    logging.getLogger("rasterio").addHandler(warned)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", NotGeoreferencedWarning)
            yield
    # so odc-stac meets a raster without CRS, and rasterio one without place
    except (AssertionError, NotGeoreferencedWarning) as error:
        raise RasterioIOError("it has no CRS or no place") from error
    finally:
        logging.getLogger("rasterio").removeHandler(warned)
    if warned.lost:
        raise RasterioIOError(warned.lost[0])


class LostTagWarnings(logging.Handler):
    """Keeps GDAL's warnings of tags that could not be read."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lost: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "IO error" in text or "tag ignored" in text:
            self.lost.append(text)
