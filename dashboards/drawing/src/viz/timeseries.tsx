// "timeseries": the library's own TimeSeries.

import { FieldType } from '@grafana/data';
import { LegendDisplayMode } from '@grafana/schema';
import { TimeSeries } from '@grafana/ui';

import { MarkLines } from '../annotations';
import type { VizProps } from './props';

export function TimeSeriesViz({ frames, options, width, height, timeRange, timeZone, marks }: VizProps) {
  const graphable = frames.filter(
    (frame) =>
      frame.length > 0 &&
      frame.fields.some((field) => field.type === FieldType.time) &&
      frame.fields.some((field) => field.type === FieldType.number)
  );
  const legend = {
    showLegend: true,
    displayMode: LegendDisplayMode.List,
    placement: 'bottom' as const,
    calcs: [],
    ...options.legend,
  };
  return (
    <TimeSeries
      frames={graphable}
      structureRev={1}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone={timeZone}
      legend={legend}
      options={options}
    >
      {(builder) => <MarkLines builder={builder} marks={marks} />}
    </TimeSeries>
  );
}
