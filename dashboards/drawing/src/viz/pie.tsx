// "piechart": Grafana keeps its pie in the application; the legend is the library's.

import { formattedValueToString } from '@grafana/data';
import { LegendDisplayMode } from '@grafana/schema';
import { VizLayout, VizLegend, VizLegendItem } from '@grafana/ui';
import * as d3 from 'd3';

import type { VizProps } from './props';
import { displayValues } from './single';

export function PieViz(props: VizProps) {
  const { options, width, height, theme } = props;
  const values = displayValues(props, false).filter(({ display }) => display.numeric > 0);
  const slices = d3.pie<(typeof values)[number]>().value(({ display }) => display.numeric)(values);
  const shown: string[] = options.legend?.values ?? [];
  const total = d3.sum(values, ({ display }) => display.numeric);
  const items: VizLegendItem[] = values.map(({ display }) => ({
    label: display.title ?? '',
    color: display.color,
    yAxis: 1,
    getDisplayValues: () => [
      ...(shown.includes('value') ? [{ ...display, title: 'Value' }] : []),
      ...(shown.includes('percent')
        ? [
            {
              numeric: display.numeric / total,
              text: `${Math.round((100 * display.numeric) / total)}%`,
              title: 'Percent',
            },
          ]
        : []),
    ],
  }));
  const placement = options.legend?.placement ?? 'right';
  const legend =
    options.legend?.showLegend === false ? null : (
      <VizLayout.Legend placement={placement}>
        <VizLegend
          placement={placement}
          items={items}
          displayMode={options.legend?.displayMode ?? LegendDisplayMode.List}
        />
      </VizLayout.Legend>
    );
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(wide, tall) => {
        const radius = Math.max(5, Math.min(wide, tall) / 2 - 8);
        const arc = d3
          .arc<(typeof slices)[number]>()
          .outerRadius(radius)
          .innerRadius(options.pieType === 'donut' ? radius * 0.6 : 0);
        return (
          <svg width={wide} height={tall}>
            <g transform={`translate(${wide / 2},${tall / 2})`}>
              {slices.map((slice, at) => (
                <path
                  key={at}
                  d={arc(slice) ?? ''}
                  fill={slice.data.display.color}
                  stroke={theme.colors.background.primary}
                >
                  <title>{formattedValueToString(slice.data.display)}</title>
                </path>
              ))}
            </g>
          </svg>
        );
      }}
    </VizLayout>
  );
}
