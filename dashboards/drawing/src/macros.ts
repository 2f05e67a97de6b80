// Grafana's macros about the field, row and time at hand, in display names and links: ${__field.labels.service},
// ${__data.fields.Service}, ${__value.raw}, ${__url_time_range}. The library hands a text to its application with the
// field as context; here is the other half.

import {
  DataFrame,
  Field,
  InterpolateFunction,
  ScopedVars,
  getFieldDisplayName,
  getFieldDisplayValuesProxy,
} from '@grafana/data';
import { VariableFormatID } from '@grafana/schema';

import type { Job } from './job';
import type { Variables } from './variables';

interface Context {
  data: DataFrame[];
  frame: DataFrame;
  field: Field;
  rowIndex?: number;
}

const MACRO = /\$\{__(field|series|data|value)\.([^}:]+?)(?::[a-z]+)?\}/g;
// .name, ["a name"] or [0]
const FIELDS = /^fields(?:\.(.+)|\["(.+)"\]|\[(\d+)\])$/;

function ofField({ data, frame, field }: Context, path: string): unknown {
  const label = /^labels(?:\.(.+)|\["(.+)"\])$/.exec(path);
  if (label) {
    return field.labels?.[label[1] ?? label[2]] ?? '';
  }
  return { name: field.name, displayName: getFieldDisplayName(field, frame, data) }[path];
}

function ofRow({ frame, rowIndex }: Context, path: string): unknown {
  const named = FIELDS.exec(path);
  if (!named || rowIndex === undefined) {
    return undefined;
  }
  const [, dotted, quoted, at] = named;
  return getFieldDisplayValuesProxy({ frame, rowIndex })[dotted ?? quoted ?? Number(at)];
}

function ofValue({ field, rowIndex }: Context, path: string): unknown {
  if (rowIndex === undefined) {
    return undefined;
  }
  const raw: unknown = field.values[rowIndex];
  const shown = field.display?.(raw);
  return { raw, numeric: shown?.numeric, text: shown?.text }[path];
}

function look(context: Context, kind: string, path: string): unknown {
  switch (kind) {
    case 'field':
      return ofField(context, path);
    case 'data':
      return ofRow(context, path);
    case 'value':
      return ofValue(context, path);
    default:
      return path === 'name' ? context.frame.name : undefined;
  }
}

/** What the library calls to fill in a text: macros first, then the board's variables. What it does not know it leaves. */
export function interpolator(variables: Variables, job: Job): InterpolateFunction {
  const scoped = { __url_time_range: `from=${job.from}&to=${job.to}` };
  return (text: string, scopedVars?: ScopedVars, format?: string | Function) => {
    const context = scopedVars?.__dataContext?.value as Context | undefined;
    const written = (value: unknown) =>
      format === VariableFormatID.UriEncode ? encodeURIComponent(String(value)) : String(value);
    const filled = text.replace(MACRO, (whole, kind: string, path: string) => {
      const found = context && look(context, kind, path);
      return found === undefined || found === null ? whole : written(found);
    });
    return variables.inText(filled, scoped);
  };
}
