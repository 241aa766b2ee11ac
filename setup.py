"Packaging: name, version, description and requirements stand in settings.ini and nowhere else"
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

root = Path(__file__).parent
ini = ConfigParser(delimiters='=')
ini.read(root/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']

commands = 'demo corpus synth pretrain selftrain eval read'.split()
pythons = '3.10 3.11 3.12 3.13'.split()

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], author=cfg['author'], license=cfg['license'],
    keywords=cfg['keywords'].split(), python_requires=f">={cfg['min_python']}",
    long_description=(root/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    install_requires=cfg['requirements'].split(), extras_require=dict(dev=cfg['dev_requirements'].split()),
    packages=find_packages(include=['hwr_nb', 'hwr_nb.*']),
    package_data=dict(hwr_nb=['data/*.tsv', 'data/fonts/*', 'data/fonts/licenses/*', 'data/models/*']),
    # nbdev 3 installs nbdev-test; the older spelling is what the README and people's fingers know
    entry_points=dict(console_scripts=[f'hwr-{c}=hwr_nb.cli:hwr_{c}' for c in commands] + ['nbdev_test=nbdev.test:nbdev_test']),
    classifiers=['Development Status :: 4 - Beta', 'Intended Audience :: Science/Research', 'Topic :: Scientific/Engineering :: Image Recognition',
                 'Operating System :: POSIX', 'Programming Language :: Python :: 3'] + [f'Programming Language :: Python :: {p}' for p in pythons],
    zip_safe=False,
)
