// Which drawing stands for which panel type.

import type { ComponentType } from 'react';

import { BarChartViz, HistogramViz } from './bars';
import { HeatmapViz } from './heatmap';
import { PieViz } from './pie';
import type { VizProps } from './props';
import { BarGaugeViz, GaugeViz, StatViz } from './single';
import { TableViz } from './table';
import { TextViz } from './text';
import { StateTimelineViz } from './timeline';
import { TimeSeriesViz } from './timeseries';

export interface Drawing {
  component: ComponentType<VizProps>;
  /** "library": Grafana's own component draws it. "likeness": its axes, colours and units are Grafana's, its marks ours. */
  drawnAs: 'library' | 'likeness';
  /** It has its own way to show that there is nothing: the value of noValue. */
  drawsNothing?: boolean;
}

export const DRAWINGS: Record<string, Drawing> = {
  timeseries: { component: TimeSeriesViz, drawnAs: 'library' },
  stat: { component: StatViz, drawnAs: 'library', drawsNothing: true },
  bargauge: { component: BarGaugeViz, drawnAs: 'library', drawsNothing: true },
  table: { component: TableViz, drawnAs: 'library' },
  text: { component: TextViz, drawnAs: 'library' },
  gauge: { component: GaugeViz, drawnAs: 'likeness', drawsNothing: true },
  barchart: { component: BarChartViz, drawnAs: 'likeness' },
  piechart: { component: PieViz, drawnAs: 'likeness' },
  'state-timeline': { component: StateTimelineViz, drawnAs: 'likeness' },
  'status-history': { component: StateTimelineViz, drawnAs: 'likeness' },
  heatmap: { component: HeatmapViz, drawnAs: 'likeness' },
  histogram: { component: HistogramViz, drawnAs: 'likeness' },
};
