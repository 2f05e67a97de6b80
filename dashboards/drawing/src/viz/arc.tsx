// The dial of "gauge". The library's own Gauge needs a plugin of jQuery that only Grafana's application carries.

import { FieldDisplay, GrafanaTheme2, ThresholdsMode, formattedValueToString } from '@grafana/data';
import * as d3 from 'd3';

interface Props {
  value: FieldDisplay;
  width: number;
  height: number;
  theme: GrafanaTheme2;
  showTitle: boolean;
  showMarkers: boolean;
}

const HALF_SWEEP = (Math.PI * 2) / 3;

export function Arc({ value, width, height, theme, showTitle, showMarkers }: Props) {
  const { thresholds } = value.field;
  const min = value.field.min ?? 0;
  const max = value.field.max ?? 100;
  const share = (number: number) => (max > min ? Math.min(1, Math.max(0, (number - min) / (max - min))) : 0);
  const titleHeight = showTitle ? 22 : 0;
  const outer = Math.max(10, Math.min(width / 2, (height - titleHeight) / 1.55) - 4);
  const band = outer * 0.2;
  const angle = d3.scaleLinear([0, 1], [-HALF_SWEEP, HALF_SWEEP]);
  const ring = (from: number, to: number, inner: number, edge: number) =>
    d3.arc()({ innerRadius: inner, outerRadius: edge, startAngle: angle(from), endAngle: angle(to) }) ?? '';
  const steps = thresholds?.steps ?? [];
  const starts = steps.map((step) =>
    step.value === -Infinity ? 0 : thresholds?.mode === ThresholdsMode.Percentage ? step.value / 100 : share(step.value)
  );
  const text = formattedValueToString(value.display);
  const size = Math.min(outer * 0.45, (outer * 2.2) / Math.max(4, text.length));
  return (
    <svg width={width} height={height} data-drawn-as="own arc">
      <g transform={`translate(${width / 2},${outer + 4})`}>
        <path d={ring(0, 1, outer - band, outer - 6)} fill={theme.colors.background.secondary} />
        <path d={ring(0, share(value.display.numeric), outer - band, outer - 6)} fill={value.display.color} />
        {showMarkers &&
          steps.map((step, at) => (
            <path
              key={at}
              d={ring(starts[at], starts[at + 1] ?? 1, outer - 4, outer)}
              fill={theme.visualization.getColorByName(step.color)}
            />
          ))}
        <text y={size * 0.35} textAnchor="middle" fontSize={size} fontWeight={500} fill={value.display.color}>
          {text}
        </text>
        {showTitle && (
          <text y={outer * 0.55 + titleHeight} textAnchor="middle" fontSize={14} fill={theme.colors.text.primary}>
            {value.display.title}
          </text>
        )}
      </g>
    </svg>
  );
}
