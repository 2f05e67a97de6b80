// A plot whose axes, scales and frame are the library's (UPlotConfigBuilder, UPlotChart) and whose marks are ours: for the
// panels that Grafana keeps in its application (state timeline, heatmap, bar chart, histogram).

import type { GrafanaTheme2 } from '@grafana/data';
import { AxisPlacement, LegendDisplayMode, LegendPlacement, ScaleDirection, ScaleOrientation } from '@grafana/schema';
import { UPlotChart, UPlotConfigBuilder, VizLayout, VizLegend, VizLegendItem } from '@grafana/ui';
import { useMemo } from 'react';
import type uPlot from 'uplot';

export interface AxisSpec {
  min: number;
  max: number;
  isTime?: boolean;
  show?: boolean;
  grid?: boolean;
  /** Where marks stand and what they say, for axes that are lists. */
  ticks?: Array<{ at: number; text: string }>;
  format?: (value: number) => string;
}

export interface PlotProps {
  x: AxisSpec;
  y: AxisSpec;
  width: number;
  height: number;
  theme: GrafanaTheme2;
  timeZone: string;
  legend?: { items: VizLegendItem[]; placement: LegendPlacement };
  /** Draw in canvas pixels; `u.valToPos(value, 'x' | 'y', true)` gives them. */
  draw: (u: uPlot) => void;
}

function axis(builder: UPlotConfigBuilder, props: PlotProps, scaleKey: 'x' | 'y'): void {
  const { theme, timeZone } = props;
  const spec = props[scaleKey];
  const vertical = scaleKey === 'y';
  builder.addScale({
    scaleKey,
    isTime: spec.isTime,
    orientation: vertical ? ScaleOrientation.Vertical : ScaleOrientation.Horizontal,
    direction: vertical ? ScaleDirection.Up : ScaleDirection.Right,
    range: () => [spec.min, spec.max],
  });
  const { ticks, format } = spec;
  builder.addAxis({
    scaleKey,
    theme,
    timeZone,
    isTime: spec.isTime,
    show: spec.show ?? true,
    placement: vertical ? AxisPlacement.Left : AxisPlacement.Bottom,
    grid: { show: spec.grid ?? true },
    ticks: { show: false },
    ...(ticks ? { splits: ticks.map(({ at }) => at), values: () => ticks.map(({ text }) => text) } : {}),
    ...(format && !ticks ? { formatValue: (value: number) => format(value) } : {}),
  });
}

export function Plot(props: PlotProps) {
  const { x, y, width, height, theme, legend } = props;
  const builder = useMemo(() => {
    const made = new UPlotConfigBuilder(props.timeZone);
    axis(made, props, 'x');
    axis(made, props, 'y');
    // A scale without a series has no range: this one is never painted.
    made.addSeries({ scaleKey: 'y', theme, pathBuilder: () => null, pointsBuilder: () => false });
    made.addHook('draw', (u) => {
      u.ctx.save();
      u.ctx.beginPath();
      u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      u.ctx.clip();
      props.draw(u);
      u.ctx.restore();
    });
    made.setCursor({ show: false });
    return made;
    // A panel is drawn once: its data never change.
  }, []);
  const data: uPlot.AlignedData = [
    [x.min, x.max],
    [y.min, y.max],
  ];
  const below = legend && legend.items.length > 0 && (
    <VizLayout.Legend placement={legend.placement}>
      <VizLegend placement={legend.placement} items={legend.items} displayMode={LegendDisplayMode.List} />
    </VizLayout.Legend>
  );
  return (
    <VizLayout width={width} height={height} legend={below || null}>
      {(wide, tall) => <UPlotChart config={builder} data={data} width={wide} height={tall} />}
    </VizLayout>
  );
}
