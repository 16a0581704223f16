"""The rules: which moment of training is scored, and above which thresholds an AU is active.

A rule is honest if it chooses on no test label. Its chooser then gets AU validation frames and nothing else, or nothing
at all; the choice is applied to test logits afterwards. The other rules get the test frames, as released code does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from benchmark.audit.frames import TestFrames, ValidationFrames
from benchmark.audit.thresholds import DEFAULT, average_f1, best_common_threshold, best_thresholds
from benchmark.audit.vote import MAJORITY, Vote, best_vote, voted
from benchmark.core.f1 import FloatArray

LAST = -1


@dataclass(frozen=True)
class Choice:
    """Choice of a rule.

    Attributes:
        moment: Index of the moment of training; −1 is the last.
        thresholds: Logit above which an AU is active: one for all AUs, or (J,).
        vote: Vote over windows of frames; None for none.
    """

    moment: int = LAST
    thresholds: float | FloatArray = field(default=DEFAULT)
    vote: Vote | None = None

    def predictions(self, logits: FloatArray, sequences: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Active AUs (N, J) for logits (K, N, J) of frames with these sequences (N,). It gets no label."""
        active: npt.NDArray[np.bool_] = logits[self.moment] > self.thresholds
        return active if self.vote is None else voted(active, sequences, self.vote)


@dataclass(frozen=True)
class HonestRule:
    """A rule that sees no test frame.

    Attributes:
        name: Name in results files.
        title: Name in the report.
        choose: Makes the choice on AU validation frames; None for a rule that needs none.
        fixed: The choice of a rule that needs no frame.
        moments: Whether it chooses among moments of training.
    """

    name: str
    title: str
    choose: Callable[[ValidationFrames], Choice] | None = None
    fixed: Choice | None = None
    moments: bool = False

    def chosen(self, validation: ValidationFrames | None) -> Choice | None:
        """The choice; None if the rule needs frames and there are none.

        Raises:
            TypeError: The frames are no AU validation frames.
        """
        if self.choose is None:
            return self.fixed
        if validation is None:
            return None
        if type(validation) is not ValidationFrames:
            raise TypeError(f"{self.name} chooses on AU validation frames alone, not on {type(validation).__name__}")
        return self.choose(validation)


@dataclass(frozen=True)
class TestRule:
    """A rule that looks at test labels: no valid protocol.

    Attributes:
        name: Name in results files.
        title: Name in the report.
        choose: Makes the choice on the test frames.
        honest: Name of the honest rule that makes the same kind of choice.
        code: Released code that does it, and where.
        moments: Whether it chooses among moments of training.
    """

    name: str
    title: str
    choose: Callable[[TestFrames], Choice]
    honest: str
    code: str
    moments: bool = False

    __test__ = False


def best_moment(frames: ValidationFrames | TestFrames) -> Choice:
    """The moment with the best average F1 at the default threshold, the last one of equally good ones."""
    scores = np.array([average_f1(logits > DEFAULT, frames.labels) for logits in frames.logits])
    return Choice(moment=_last_best(scores))


def common_threshold(frames: ValidationFrames | TestFrames) -> Choice:
    """The last moment, and the one threshold for all AUs with the best average F1."""
    return Choice(thresholds=best_common_threshold(frames.logits[LAST], frames.labels)[0])


def threshold_by_au(frames: ValidationFrames | TestFrames) -> Choice:
    """The last moment, and the threshold of each AU with the best F1."""
    return Choice(thresholds=best_thresholds(frames.logits[LAST], frames.labels))


def moment_and_threshold(frames: ValidationFrames | TestFrames) -> Choice:
    """The moment and the one threshold for all AUs that have the best average F1 together."""
    found = [best_common_threshold(logits, frames.labels) for logits in frames.logits]
    moment = _last_best(np.array([score for _, score in found]))
    return Choice(moment=moment, thresholds=found[moment][0])


def common_threshold_and_majority(frames: ValidationFrames | TestFrames) -> Choice:
    """The last moment, the one threshold with the best average F1 of single frames, then the fixed vote."""
    return replace(common_threshold(frames), vote=MAJORITY)


def threshold_and_vote(frames: TestFrames) -> Choice:
    """The last moment, and the threshold, window and share of votes that have the best average F1 together."""
    threshold, vote = best_vote(frames.logits[LAST], frames.labels, frames.sequences)
    return Choice(thresholds=threshold, vote=vote)


def _last_best(scores: FloatArray) -> int:
    """Index of the largest score, the last of equal ones; the last index if none is defined."""
    defined = np.nan_to_num(scores, nan=-1.0)
    return int(len(defined) - 1 - np.argmax(defined[::-1]))


OURS = HonestRule("ours", "last moment, threshold .5 (this suite)", fixed=Choice())
"""The rule of every other table; its counts are those of the trial."""

HONEST = (
    OURS,
    HonestRule("moment_val", "best moment on AU validation (A7), .5", best_moment, moments=True),
    HonestRule("common_val", "last moment, one threshold on AU validation", common_threshold),
    HonestRule("by_au_val", "last moment, a threshold per AU on AU validation", threshold_by_au),
    HonestRule("both_val", "moment and one threshold on AU validation", moment_and_threshold, moments=True),
    HonestRule("vote_fixed", "last moment, .5, majority of five frames", fixed=Choice(vote=MAJORITY)),
    HonestRule(
        "common_vote_val",
        "last moment, one threshold on AU validation, majority of five frames",
        common_threshold_and_majority,
    ),
)
"""Rules that see no test label."""

LOOKING = (
    TestRule(
        "moment_test",
        "best moment on test, .5",
        best_moment,
        "moment_val",
        "MDHR (CVI-SZU/MDHR, train.py 90-119); ME-GraphAU and AUNCE, by hand (train.py; issue 7 of ME-GraphAU); LibMTL "
        "without a validation set (issue 75)",
        moments=True,
    ),
    TestRule(
        "common_test",
        "last moment, one threshold on test",
        common_threshold,
        "common_val",
        "the threshold of FMAE-IAT alone (engine_finetune.py 205-230)",
    ),
    TestRule(
        "by_au_test",
        "last moment, a threshold per AU on test",
        threshold_by_au,
        "by_au_val",
        "none that we know: the most that thresholds can give",
    ),
    TestRule(
        "both_test",
        "moment and one threshold on test",
        moment_and_threshold,
        "both_val",
        "FMAE-IAT (forever208/FMAE-IAT, engine_finetune.py 205-230; BP4D_finetune.py 150, 307-310)",
        moments=True,
    ),
    TestRule(
        "vote_test",
        "last moment, threshold, window and votes on test",
        threshold_and_vote,
        "common_vote_val",
        "SSM (MSA-LMC/SSM, ssm/evaluation/metrics.py and runner.py)",
    ),
)
"""Rules that choose on the test labels, with the released code that does it."""

NORMALISED = {
    "norm_both": "batch norm of both streams, estimated anew (A13)",
    "norm_au": "batch norm of AU images alone (A13)",
}
"""Not rules but other predictions: those of the last moment under statistics of batch norm that were estimated anew."""
