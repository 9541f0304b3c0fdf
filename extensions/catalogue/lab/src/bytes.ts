const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes as a person reads them. */
export function formatBytes(bytes: number): string {
  let at = 0;
  while (Math.abs(bytes) >= 1024 && at < UNITS.length - 1) {
    bytes /= 1024;
    at++;
  }
  return `${at && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${UNITS[at]}`;
}
