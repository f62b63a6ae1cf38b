"""Translation of the rule in own_rule.py for the compiled simulator."""

from own_rule import ExploratoryHebbSim

from nengo_epes import updates
from nengo_epes.compiled import kernels as kn
from nengo_epes.compiled.translations import translates
from nengo_epes.learning_rules.divergence import largest_input


@translates(ExploratoryHebbSim)
def exploratory_hebb(table, op):
    delta, mean = op.updates
    m, n = delta.shape
    rows = []
    reward, pre, post = (table.read(signal, rows) for signal in op.reads[:3])
    kappa, tau = op.rule_type.learning_rate, op.rule_type.tau
    rate = table.constants(kappa * table.dt / n)
    gain = table.constants(1.0 - updates.trace_decay(tau, table.dt))
    limit = table.constants(largest_input(table.dtype))
    above, factor, mean = table.work(m), table.work(m), table.start(mean)
    return [
        *rows,
        table.check(reward, 1, limit),
        (kn.COMBINE, above, table.one, post, table.minus_one, mean, m),
        (kn.MULTIPLY, factor, m, reward, 1, above, m),
        (kn.OUTER, table.start(delta), factor, 1, pre, 0, rate, m, n),
        (kn.COMBINE, mean, table.one, mean, gain, above, m),
    ]
