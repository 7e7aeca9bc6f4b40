"""Checks of a record's `fits`: how a reference of another library was fitted."""

from leaderboard.records.parts import ReferenceFit
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report


def check_fits(report: Report, record: Record) -> None:
    """Settings and fits stand in references of another library and nowhere else, and add up."""
    settings, fits = record.method.settings, record.fits
    if settings is None or record.kind != "reference":
        for name, value in (("method.settings", settings), ("fits", fits)):
            if value is not None:
                report.error(name, "something", "nothing: only another library's reference has it")
        return
    if not fits:
        report.error("fits", "nothing", "how the reference was fitted")
        return
    library = str(settings.get("library", "nothing"))
    installed = {f"{name} {found}" for name, found in record.environment.packages.items()}
    if library not in installed:
        expected = f"one of environment.packages: {', '.join(sorted(installed))}"
        report.error("method.settings.library", library, expected)
    parts = tuple(fit.known_at for fit in fits)
    if parts not in (("validation",), ("validation", "test")):
        report.error("fits (known_at)", parts, "validation, or validation and then test")
    for index, fit in enumerate(fits):
        _check_epochs(report, f"fits.{index}", fit, settings.get("epochs"))


def _check_epochs(report: Report, place: str, fit: ReferenceFit, most: object) -> None:
    """The kept epoch is the first with the highest figure, within the epochs allowed."""
    if fit.epochs is None:
        report.equal(f"{place}.best_epoch", fit.best_epoch, None)
        report.equal(f"{place}.trainable_parameters", fit.trainable_parameters, 0)
        return
    report.equal(f"{place}.train_loss (epochs)", len(fit.train_loss), fit.epochs)
    report.equal(f"{place}.validation_ndcg10 (epochs)", len(fit.validation_ndcg10), fit.epochs)
    if isinstance(most, int) and fit.epochs > most:
        report.error(f"{place}.epochs", fit.epochs, f"at most {most}")
    if fit.validation_ndcg10:
        # The library keeps the last of equal epochs.
        best = max(fit.validation_ndcg10)
        last = max(i for i, value in enumerate(fit.validation_ndcg10, 1) if value == best)
        report.equal(f"{place}.best_epoch", fit.best_epoch, last)
