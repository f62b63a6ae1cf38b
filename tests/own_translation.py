"""Translation of the rule in own_rule.py for the compiled simulator."""

from own_rule import ExploratoryHebbSim

from nengo_epes import updates
from nengo_epes.compiled import kernels as kn
from nengo_epes.compiled import translates


@translates(ExploratoryHebbSim)
def exploratory_hebb(table, op):
    (reward, pre, post, _), (delta, mean) = op.reads, op.updates
    (m, n), rows, rule = delta.shape, [], op.rule_type
    r, a, x = (table.read(signal, rows) for signal in (reward, pre, post))
    average, deviation, factor = table.start(mean), table.work(m), table.work(m)
    rate = table.constants(rule.learning_rate * table.dt / n)
    gain = table.constants(1.0 - updates.trace_decay(rule.tau, table.dt))
    one, minus = table.one, table.minus_one
    return [
        *rows,
        table.check(r, 1),
        (kn.COMBINE, deviation, one, x, minus, average, m),
        (kn.MULTIPLY, factor, m, r, 1, deviation, m),
        (kn.OUTER, table.start(delta), factor, 1, a, 0, rate, m, n),
        (kn.COMBINE, average, one, average, gain, deviation, m),
    ]
