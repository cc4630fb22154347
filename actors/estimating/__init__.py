"""Token counts where no provider gives them: pure, and used through `estimator`."""
