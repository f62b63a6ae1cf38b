"""Rate regularization: pulls the firing rates of neurons to a target."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.exceptions import ValidationError


class RateRegularization(nengo.Network):
    r"""A third factor that pulls the firing rate of each neuron to a target.

    .. math:: L_i = c\,(f^* - f_i)

    with the target :math:`f^*` and the filtered rate :math:`f_i`. Connect ``output``
    to the third factor of an `~nengo_epes.EPES` rule with ``feedback="rows"``, in
    addition to the learning signal. In e-prop, it keeps the neurons from falling silent
    or saturating while they learn [1]_.

    Parameters
    ----------
    neurons : nengo.ensemble.Neurons
        The neurons.
    strength : float
        c, the third factor for each hertz that is missing. To choose it, multiply the
        size of the learning signal by 1/1000: a neuron that is 10 Hz off then adds one
        percent.
    target : float, optional
        f*, the firing rate in hertz.
    synapse : Synapse or float, optional
        Filter of the rates; a number is the time constant of a `nengo.Lowpass` in
        seconds. The target passes through the same filter, so that neurons are not
        driven up while the filter settles.
    label, seed, add_to_container : optional
        See `nengo.Network`.

    Attributes
    ----------
    output : nengo.Node
        The third factor of each neuron, of size ``neurons.size_out``.

    Raises
    ------
    ValidationError
        If there are no neurons, or a number is out of range.

    References
    ----------
    .. [1] Bellec, G., et al. (2020). A solution to the learning dilemma for recurrent
       networks of spiking neurons. Nature Communications, 11, 3625.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import EPES
    >>> from nengo_epes.networks import RateRegularization
    >>> with nengo.Network() as net:
    ...     ens = nengo.Ensemble(20, dimensions=1)
    ...     rule = EPES(
    ...         size_td_error=20, size_eligibility=0, feedback="rows",
    ...         post_derivative="auto",
    ...     )
    ...     conn = nengo.Connection(
    ...         ens.neurons, ens.neurons, transform=[[0] * 20] * 20,
    ...         learning_rule_type=rule,
    ...     )
    ...     rates = RateRegularization(ens.neurons, strength=1e-5)
    ...     send = nengo.Connection(rates.output, conn.learning_rule, synapse=None)
    >>> rates.output.size_out
    20
    """

    def __init__(
        self,
        neurons,
        strength,
        target=10.0,
        synapse=1.0,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        super().__init__(label, seed, add_to_container)
        if not isinstance(neurons, nengo.ensemble.Neurons):
            raise ValidationError(
                f"expected the neurons of an ensemble, such as ens.neurons (got "
                f"{neurons!r})",
                attr="neurons",
                obj=self,
            )
        for name, value in (("strength", strength), ("target", target)):
            if not 0.0 <= value < np.inf:
                raise ValidationError(
                    f"must be a finite number of at least 0 (got {value!r})",
                    attr=name,
                    obj=self,
                )
        with self:
            self.output = nengo.Node(size_in=neurons.size_out, label="output")
            wanted = nengo.Node([target], label="target")
            nengo.Connection(
                wanted,
                self.output,
                transform=np.full((neurons.size_out, 1), strength),
                synapse=synapse,
            )
            nengo.Connection(neurons, self.output, transform=-strength, synapse=synapse)
