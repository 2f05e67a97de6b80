// What Grafana fills in when a panel is loaded. Each panel plugin of its application has such a list; the component
// library relies on it and does not have it.

import { FieldColorModeId, FieldConfigSource, ThresholdsMode } from '@grafana/data';

import type { PanelModel } from './job';

const THRESHOLDS = {
  mode: ThresholdsMode.Absolute,
  steps: [
    { value: -Infinity, color: 'green' },
    { value: 80, color: 'red' },
  ],
};

const PALETTE = new Set(['timeseries', 'barchart', 'piechart', 'histogram', 'trend']);

const CUSTOM: Record<string, Record<string, unknown>> = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    showPoints: 'auto',
    pointSize: 5,
    spanNulls: false,
    barAlignment: 0,
    barWidthFactor: 0.6,
    axisPlacement: 'auto',
    axisLabel: '',
    axisColorMode: 'text',
    axisBorderShow: false,
    axisCenteredZero: false,
    scaleDistribution: { type: 'linear' },
    stacking: { mode: 'none', group: 'A' },
    thresholdsStyle: { mode: 'off' },
    hideFrom: { legend: false, tooltip: false, viz: false },
  },
  barchart: { lineWidth: 1, fillOpacity: 80, gradientMode: 'none', axisPlacement: 'auto' },
  histogram: { lineWidth: 1, fillOpacity: 80, gradientMode: 'none' },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
  'state-timeline': { lineWidth: 0, fillOpacity: 70 },
};

/** JSON has no -Infinity: the first threshold step stands there with null. */
function withBase(thresholds: NonNullable<FieldConfigSource['defaults']['thresholds']>) {
  const steps = thresholds.steps.map((step, at) => (at === 0 ? { ...step, value: -Infinity } : step));
  return { ...thresholds, mode: thresholds.mode ?? ThresholdsMode.Absolute, steps };
}

/** The panel's field options with its type's defaults below them. */
export function fieldConfigOf(panel: PanelModel): FieldConfigSource {
  const defaults = panel.fieldConfig?.defaults ?? {};
  const overrides = panel.fieldConfig?.overrides ?? [];
  const custom = { ...CUSTOM[panel.type], ...defaults.custom };
  const mode = PALETTE.has(panel.type) ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds;
  return {
    defaults: {
      ...defaults,
      custom,
      color: defaults.color?.mode ? defaults.color : { mode },
      mappings: defaults.mappings ?? [],
      thresholds: defaults.thresholds?.steps?.length ? withBase(defaults.thresholds) : THRESHOLDS,
    },
    overrides: overrides.map((rule) => ({
      ...rule,
      properties: rule.properties.map((one) =>
        one.id === 'thresholds' && one.value?.steps?.length ? { ...one, value: withBase(one.value) } : one
      ),
    })),
  };
}
