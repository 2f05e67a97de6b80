// Variables of a board: their values, and their place in queries, as Grafana's Prometheus data source writes them
// (escaping.ts of its package, the classic behaviour).

import type { Job, VariableModel, VariableValue } from './job';
import type { Prometheus, Series } from './prometheus';
import { seriesName } from './frames';

const ALL = '$__all';

interface Held {
  model: VariableModel;
  value: VariableValue;
  /** What All stands for. */
  options: string[];
}

/** A variable that a query names and nothing defines. */
export class UnknownVariable extends Error {
  constructor(name: string) {
    super(`nothing defines the variable $${name}`);
  }
}

const REFERENCE =
  /\$([a-zA-Z_]\w*)|\$\{([a-zA-Z_]\w*)(?:\.[^:^}]+)?(?::([^}]+))?\}|\[\[([a-zA-Z_]\w*)(?::([^\]]+))?\]\]/g;

const escapeRegex = (text: string) => text.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
/** For a regular expression inside a PromQL string: the string takes one backslash away. */
const escapePromRegex = (text: string) => text.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&');
const escapePromString = (text: string) => text.replace(/\\/g, '\\\\').replace(/'/g, "\\\\'");

function alternatives(values: string[], escape: (text: string) => string): string {
  const escaped = values.map(escape);
  return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
}

export class Variables {
  private readonly held = new Map<string, Held>();

  add(held: Held): void {
    this.held.set(held.model.name, held);
  }

  /** The same variables with one of them held to one value, as in a repeated panel. */
  narrowed(name: string, value: string): Variables {
    const copy = new Variables();
    this.held.forEach((held, key) => copy.held.set(key, key === name ? { ...held, value } : held));
    return copy;
  }

  /** The values of a variable, All spelt out; none for one that does not exist. */
  valuesOf(name: string): string[] {
    const held = this.held.get(name);
    return held ? this.values(held) : [];
  }

  /** What the variable bar would show: label and value. */
  shown(): Array<[string, string]> {
    return [...this.held.values()]
      .filter(({ model }) => model.hide !== 2)
      .map(({ model, value }) => [model.label || model.name, this.isAll(value) ? 'All' : [value].flat().join(' + ')]);
  }

  /** Replace every reference in a query; `scoped` holds Grafana's own, such as __rate_interval. */
  inQuery(text: string, scoped: Record<string, string> = {}): string {
    return this.replace(text, scoped, (held) => {
      const { model, value } = held;
      if (this.isAll(value) && model.allValue) {
        return model.allValue;
      }
      if (!model.multi && !model.includeAll) {
        return escapePromString([value].flat().join(''));
      }
      return alternatives(this.values(held), escapePromRegex);
    });
  }

  /** Replace every reference in a title or legend. */
  inText(text: string, scoped: Record<string, string> = {}): string {
    return this.replace(
      text,
      scoped,
      (held) => {
        const values = this.values(held);
        return this.isAll(held.value) ? 'All' : values.length === 1 ? values[0] : `{${values.join(',')}}`;
      },
      false
    );
  }

  private isAll(value: VariableValue): boolean {
    return value === ALL || (Array.isArray(value) && value.length === 1 && value[0] === ALL);
  }

  private values(held: Held): string[] {
    return this.isAll(held.value) ? held.options : [held.value].flat();
  }

  private replace(text: string, scoped: Record<string, string>, plain: (held: Held) => string, strict = true): string {
    return text.replace(REFERENCE, (whole, bare, braced, format, bracketed, bracketedFormat) => {
      const name: string = bare ?? braced ?? bracketed;
      if (name in scoped) {
        return scoped[name];
      }
      const held = this.held.get(name);
      if (!held) {
        if (strict) {
          throw new UnknownVariable(name);
        }
        return whole;
      }
      return this.formatted(held, format ?? bracketedFormat) ?? plain(held);
    });
  }

  private formatted(held: Held, format: string | undefined): string | undefined {
    const values = this.values(held);
    const all = this.isAll(held.value) && held.model.allValue;
    switch (format) {
      case undefined:
        return undefined;
      case 'regex':
        return all || alternatives(values, escapeRegex);
      case 'pipe':
        return values.join('|');
      case 'csv':
      case 'raw':
        return values.join(',');
      case 'text':
        return values.join(' + ');
      case 'doublequote':
        return values.map((value) => `"${value.replace(/"/g, '\\"')}"`).join(',');
      case 'queryparam':
        return values.map((value) => `var-${held.model.name}=${encodeURIComponent(value)}`).join('&');
      case 'percentencode':
        return encodeURIComponent(values.join(','));
      default:
        throw new Error(`the variable format :${format} is not known here`);
    }
  }
}

// -- where values come from ------------------------------------------------------------------------------------------

const LABEL_VALUES = /^label_values\((?:(.+),\s*)?([a-zA-Z_]\w*)\)\s*$/s;
const QUERY_RESULT = /^query_result\((.+)\)\s*$/s;

function resultText({ metric, values }: Series): string {
  return `${seriesName(metric)} ${values[0][1]} ${values[0][0] * 1000}`;
}

function byRegex(texts: string[], regex: string | undefined): string[] {
  if (!regex) {
    return texts;
  }
  const [, body, flags] = /^\/(.*)\/([gimsuy]*)$/s.exec(regex) ?? ['', regex, ''];
  const pattern = new RegExp(body, flags.replace('g', ''));
  return texts.flatMap((text) => {
    const match = pattern.exec(text);
    return match ? [match.groups?.value ?? match[1] ?? match[0]] : [];
  });
}

async function options(model: VariableModel, known: Variables, prometheus: Prometheus, job: Job): Promise<string[]> {
  const written = typeof model.query === 'string' ? model.query : (model.query?.query ?? '');
  if (model.type === 'query') {
    const query = known.inQuery(written);
    const labels = LABEL_VALUES.exec(query);
    const result = QUERY_RESULT.exec(query);
    let found: string[];
    if (labels) {
      found = await prometheus.labelValues(labels[2], labels[1]?.trim() ?? '', job.from / 1000, job.to / 1000);
    } else if (result) {
      found = (await prometheus.instant(result[1], job.to / 1000)).map(resultText);
    } else {
      throw new Error(`the query of the variable $${model.name} is not known here: ${query}`);
    }
    return [...new Set(byRegex(found, model.regex))].sort();
  }
  if (model.type === 'custom') {
    return written.split(',').map(
      (item) =>
        item
          .trim()
          .split(/\s+:\s+/)
          .pop() ?? ''
    );
  }
  if (model.type === 'interval') {
    return written.split(',').map((item) => item.trim());
  }
  return written ? [written] : [];
}

function isSet(value: VariableValue | undefined): value is VariableValue {
  return value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0);
}

/** Load the board's variables in their order; later ones may use earlier ones. */
export async function loadVariables(job: Job, prometheus: Prometheus): Promise<Variables> {
  const variables = new Variables();
  for (const model of job.board.templating?.list ?? []) {
    const given = job.variables[model.name];
    if (model.type === 'datasource') {
      variables.add({ model, value: given ?? 'Prometheus', options: ['Prometheus'] });
      continue;
    }
    if (model.type === 'adhoc' || model.type === 'groupby') {
      continue;
    }
    const found = await options(model, variables, prometheus, job);
    const first = model.includeAll ? ALL : (found[0] ?? '');
    const proposed = isSet(model.current?.value) ? model.current.value : first;
    variables.add({ model, value: given ?? proposed, options: found });
  }
  return variables;
}
