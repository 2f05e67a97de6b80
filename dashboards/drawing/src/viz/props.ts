import type { DataFrame, FieldConfigSource, GrafanaTheme2, InterpolateFunction, TimeRange } from '@grafana/data';

import type { Options } from '../job';
import type { Mark } from '../annotations';

/** What every drawing is given. `frames` have their field options applied. */
export interface VizProps {
  frames: DataFrame[];
  fieldConfig: FieldConfigSource;
  options: Options;
  width: number;
  height: number;
  theme: GrafanaTheme2;
  timeRange: TimeRange;
  timeZone: string;
  replaceVariables: InterpolateFunction;
  marks: Mark[];
}
