// Grafana's grid: 24 columns, rows of 30 pixels, 8 pixels between.

import type { PanelModel } from './job';

const COLUMNS = 24;
const CELL = 30;
const GAP = 8;

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Grafana's rule for panels without an id: they are counted on from the highest there is. */
export function numbered(panels: PanelModel[]): PanelModel[] {
  const all = panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  let last = Math.max(0, ...all.map(({ id }) => id ?? 0));
  const own = (panel: PanelModel): PanelModel => ({ ...panel, id: panel.id ?? ++last });
  return panels.map((panel) => ({ ...own(panel), ...(panel.panels ? { panels: panel.panels.map(own) } : {}) }));
}

/** Open collapsed rows, as a click on each would: what is in them has to be proven too. */
export function opened(panels: PanelModel[]): PanelModel[] {
  const result: PanelModel[] = [];
  let shift = 0;
  for (const panel of [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x)) {
    const placed = { ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + shift } };
    result.push(placed);
    const inside = panel.type === 'row' ? (panel.panels ?? []) : [];
    if (inside.length === 0) {
      continue;
    }
    const below = placed.gridPos.y + placed.gridPos.h;
    const first = Math.min(...inside.map(({ gridPos }) => gridPos.y));
    const end = Math.max(...inside.map(({ gridPos }) => gridPos.y + gridPos.h));
    result.push(...inside.map((one) => ({ ...one, gridPos: { ...one.gridPos, y: one.gridPos.y - first + below } })));
    shift += end - first;
  }
  return result;
}

/** Copies of repeated panels, one for a value; what stands below is pushed down. Rows are not repeated. */
export function repeated(panels: PanelModel[], valuesOf: (name: string) => string[]): PanelModel[] {
  const result: PanelModel[] = [];
  let shift = 0;
  for (const panel of panels) {
    const { repeat: name, gridPos } = panel;
    const y = gridPos.y + shift;
    const values = name ? valuesOf(name) : [];
    if (!name || values.length === 0) {
      result.push({ ...panel, gridPos: { ...gridPos, y } });
      continue;
    }
    const vertical = panel.repeatDirection === 'v';
    const perRow = vertical ? 1 : Math.min(values.length, panel.maxPerRow ?? 4);
    const w = vertical ? gridPos.w : Math.floor(COLUMNS / perRow);
    values.forEach((value, at) => {
      const place = {
        x: vertical ? gridPos.x : (at % perRow) * w,
        y: y + Math.floor(at / perRow) * gridPos.h,
        w,
        h: gridPos.h,
      };
      result.push({ ...panel, gridPos: place, scope: { name, value } });
    });
    shift += (Math.ceil(values.length / perRow) - 1) * gridPos.h;
  }
  return result;
}

/** Where a panel stands on a grid `width` pixels wide. */
export function boxOf({ gridPos: { x, y, w, h } }: PanelModel, width: number): Box {
  const column = (width + GAP) / COLUMNS;
  return {
    left: Math.round(x * column),
    top: y * (CELL + GAP),
    width: Math.round(w * column - GAP),
    height: h * (CELL + GAP) - GAP,
  };
}

export function gridHeight(panels: PanelModel[]): number {
  return Math.max(0, ...panels.map(({ gridPos }) => (gridPos.y + gridPos.h) * (CELL + GAP)));
}
