"""CubeHub's single-user environment: what it adds to the packages it names."""

from cubehub_lab.kernels import install_kernel, kernelspec

__all__ = ["install_kernel", "kernelspec"]
