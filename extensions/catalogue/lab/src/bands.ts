import type { IAsset } from './contract.js';

/** Bands that a line names; an asset may have hundreds. */
const MOST = 12;

const FORMATS: [part: string, name: string][] = [
  ['tiff', 'GeoTIFF'], ['jp2', 'JPEG 2000'], ['zarr', 'Zarr'], ['netcdf', 'NetCDF'], ['grib', 'GRIB'], ['hdf', 'HDF'], ['parquet', 'Parquet'],
  ['geo+json', 'GeoJSON'], ['application/json', 'JSON'], ['application/xml', 'XML'], ['text/xml', 'XML'], ['image/jpeg', 'JPEG'], ['image/png', 'PNG'], ['text/html', 'HTML']
];

/** What an asset says of its bands, in short: their names, the type of their values, the size of a pixel. No DOM here. */
export function bandsOf(asset: IAsset): string[] {
  const named = listOf(asset.bands).length ? listOf(asset.bands) : listOf(asset['eo:bands']);
  const typed = [...listOf(asset.bands), ...listOf(asset['raster:bands'])];
  const names = named.flatMap(band => {
    const [name, common] = [textOf(band.name), textOf(band.common_name ?? band['eo:common_name'])];
    return name && common && name !== common ? `${name} (${common})` : name || common || [];
  });
  const types = typed.map(band => textOf(band.data_type)).filter(Boolean);
  return [
    names.length > MOST ? `${names.slice(0, MOST).join(', ')} …` : names.join(', '),
    [...new Set(types)].join(', '),
    typeof asset.gsd === 'number' && Number.isFinite(asset.gsd) ? `${asset.gsd} m` : ''
  ].filter(Boolean);
}

/** A media type as people call it; what is not known is written as it is, without its parameters. */
export function formatOf(type: unknown): string {
  const text = textOf(type).toLowerCase();
  const [plain] = text.split(';');
  if (text.includes('cloud-optimized')) {
    return 'COG';
  }
  return FORMATS.find(([part]) => plain.includes(part))?.[1] ?? plain.trim();
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(one => one !== null && typeof one === 'object') : [];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
