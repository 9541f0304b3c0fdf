/** What the server half says and takes, as its README describes it. */
import type { Geometry, MultiPolygon, Polygon } from 'geojson';

export interface ICatalogue {
  id: string;
  title: string;
  type: string;
  sign_in: string | null;
  collections: string[];
  own: boolean;
}

/** One that was just added, and what it answered. */
export interface IAdded extends ICatalogue {
  tried: { collections: number | null; error: ITrouble | null };
}

export interface ICatalogues {
  catalogues: ICatalogue[];
  tiles: string;
  user_catalogues: boolean;
}

export interface ICollection {
  id: string;
  title?: string;
  description?: string;
  keywords?: string[];
  license?: string;
  extent?: { temporal?: { interval?: (string | null)[][] }; spatial?: { bbox?: number[][] } };
}

export interface IProperty {
  title?: string;
  description?: string;
  type?: string | string[];
  format?: string;
  enum?: (string | number | boolean)[];
  minimum?: number;
  maximum?: number;
  unit?: string;
}

export interface IQueryables {
  properties?: Record<string, IProperty>;
}

export interface ISort {
  field: string;
  descending: boolean;
}

export type Aoi = Polygon | MultiPolygon;

export interface IQuery {
  collections: Record<string, string[]>;
  aoi: Aoi | null;
  start: string | null;
  end: string | null;
  filter: object | null;
  text: string | null;
  ids: string[];
  sort: ISort[];
  limit: number;
}

export interface ITrouble {
  code: string;
  message: string;
  hint: string;
  upstream_status?: number | null;
}

export interface ICopy {
  key: string;
  catalogue: string;
  collection: string | null;
  /** Of collections whose id says nothing to people: a person's own and a group's. */
  collection_title?: string | null;
  id: string;
  /** Of the processing; another one is the same scene, not the same data. */
  version?: string | null;
}

export type Order = (string | number | null)[];

export interface IRow extends ICopy {
  order: Order;
  title: string;
  start: string | null;
  end: string | null;
  cloud_cover: number | null;
  platform: string | null;
  bbox: number[] | null;
  footprint: Geometry | null;
  picture: boolean;
  copies: ICopy[];
  bytes: number | null;
}

export type IEvent =
  | { event: 'search'; search: string }
  | { event: 'asking'; catalogue: string }
  | { event: 'rows'; rows: IRow[] }
  | {
      event: 'answered';
      catalogue: string;
      count: number;
      matched: number | null;
      more: boolean;
      ignored: string[];
      warnings?: string[];
      took_ms: number;
    }
  | { event: 'failed'; catalogue: string; error: ITrouble }
  | { event: 'end'; more: boolean; final?: number; full?: boolean };

export interface IAsset {
  href: string;
  title?: string;
  type?: string;
  roles?: string[];
  'file:size'?: number;
  'proj:code'?: string;
  'proj:epsg'?: number | null;
  gsd?: unknown;
  /** Of STAC 1.1; before there were the other two. */
  bands?: unknown;
  'eo:bands'?: unknown;
  'raster:bands'?: unknown;
}

export interface IItem {
  id: string;
  collection?: string;
  properties: Record<string, unknown>;
  assets: Record<string, IAsset>;
  links?: { rel: string; href: string; title?: string; type?: string }[];
}

export interface IFound {
  catalogue?: string;
  item: IItem;
  copies: ICopy[];
}

export interface IEstimate {
  bytes: number | null;
  text: string;
  profile_bytes: number | null;
  ratio: number | null;
  lazy: boolean;
}

export interface IBand {
  name: string;
  title: string;
  collection: string;
  kind: string;
  /** Whether the cell opens it. */
  chosen: boolean;
}

export interface ICode {
  code: string;
  estimate: IEstimate;
  needs: string[];
  /** Those of `needs` that the server's environment has not. */
  missing?: string[];
  warnings: string[];
  bands?: IBand[];
  /** Name at the cube server. */
  cube?: string | null;
}

export interface ITemplate {
  id: string;
  title: string;
  description: string;
}

export interface IDownload {
  id: string;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';
  name: string;
  bytes: number;
  total: number | null;
  path: string;
  /** Whether the catalogue named a checksum, and it holds. */
  checked?: boolean;
  /** What is odd about it although it is done. */
  warning?: string | null;
  error: ITrouble | null;
}

export interface ISavedSearch {
  id: string;
  name: string;
  query: IQuery;
  catalogues: string[];
}

export interface IPicked {
  catalogue: string;
  collection: string | null;
  id: string;
  title: string;
}

export interface ISaved {
  searches: ISavedSearch[];
  favourites: IPicked[];
  cart: IPicked[];
  /** The file was broken; told once, by the answer that put it aside. */
  problem?: ITrouble;
}
